"""A LangChain agent as a generator: ``make run GENERATOR=examples.langchain_agent:generate``."""

from collections.abc import AsyncIterator

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from examples.weather import get_weather
from holdfast import GenerationRequest, Part
from holdfast.adapters.agents import continues, conversation, reasoning, tool_call, tool_result
from holdfast.adapters.messages import chat_messages

model = ChatOpenAI(model="gpt-5-mini", use_responses_api=True, reasoning={"summary": "auto"}, max_retries=0)
agent = create_agent(model, [get_weather])


@continues
async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
    asked = {"messages": chat_messages(conversation(request))}
    async for event in agent.astream_events(asked, version="v2"):
        match event:
            case {"event": "on_chat_model_stream", "data": {"chunk": chunk}}:
                for block in chunk.content_blocks:
                    if block["type"] in {"text", "reasoning"}:
                        yield block["text"] if block["type"] == "text" else reasoning(block.get("reasoning"))
            case {"event": "on_chat_model_end", "data": {"output": message}}:
                for call in message.tool_calls:
                    yield tool_call(call["id"], call["name"], call["args"])
            case {"event": "on_tool_end", "data": {"output": result}}:
                yield tool_result(result.tool_call_id, result.content)
