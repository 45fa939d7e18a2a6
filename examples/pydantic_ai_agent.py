"""A pydantic-ai agent as a generator: ``make run GENERATOR=examples.pydantic_ai_agent:generate``."""

from collections.abc import AsyncIterator

import pydantic_ai as ai
from pydantic import TypeAdapter
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from pydantic_ai.ui.vercel_ai.request_types import UIMessage

from examples.weather import get_weather
from holdfast import GenerationRequest, Part
from holdfast.adapters.agents import continues, conversation, reasoning, tool_call, tool_result

agent = ai.Agent(
    "openai-responses:gpt-5-mini", tools=[get_weather], model_settings={"openai_reasoning_summary": "auto"}
)


@continues
async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
    messages = TypeAdapter(list[UIMessage]).validate_python(conversation(request))
    async with agent.run_stream_events(message_history=VercelAIAdapter.load_messages(messages)) as events:
        async for event in events:
            match event:
                case ai.PartStartEvent(part=ai.TextPart(content=text)):
                    yield text
                case ai.PartDeltaEvent(delta=ai.TextPartDelta(content_delta=text)):
                    yield text
                case ai.PartStartEvent(part=ai.ThinkingPart(content=text)):
                    yield reasoning(text)
                case ai.PartDeltaEvent(delta=ai.ThinkingPartDelta(content_delta=text)):
                    yield reasoning(text)
                case ai.FunctionToolCallEvent(part=call):
                    yield tool_call(call.tool_call_id, call.tool_name, call.args)
                case ai.FunctionToolResultEvent(part=result):
                    yield tool_result(result.tool_call_id, result.content)
