"""An agent of the OpenAI Agents SDK as a generator: ``make run GENERATOR=examples.openai_agents:generate``."""

from collections.abc import AsyncIterator

from agents import Agent, ModelSettings, RunConfig, Runner, function_tool

from examples.weather import get_weather
from holdfast import GenerationRequest, Part
from holdfast.adapters.agents import continues, conversation, reasoning, tool_call, tool_result
from holdfast.adapters.messages import response_input

settings = ModelSettings(reasoning={"summary": "auto"}, store=False)
agent = Agent("Assistant", model="gpt-5-mini", model_settings=settings, tools=[function_tool(get_weather)])


@continues
async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
    run = Runner.run_streamed(agent, response_input(conversation(request)), run_config=RunConfig(tracing_disabled=True))
    try:
        async for event in run.stream_events():
            said = event.data if event.type == "raw_response_event" else getattr(event, "item", event)
            match said.type:
                case "response.output_text.delta":
                    yield said.delta
                case "response.reasoning_summary_text.delta":
                    yield reasoning(said.delta)
                case "tool_call_item":
                    yield tool_call(said.call_id, said.tool_name, said.raw_item.arguments)
                case "tool_call_output_item":
                    yield tool_result(said.call_id, said.output)
    finally:
        run.cancel()  # it runs in a task of its own
