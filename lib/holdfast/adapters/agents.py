"""Agent frameworks as generators: what an interrupted answer has come to, and a seam that does not show."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from holdfast.adapters.messages import NO_RESULT, Standing, standing
from holdfast.adapters.openai_continue import CONTINUE_INSTRUCTION
from holdfast.adapters.openai_errors import from_sdk
from holdfast.adapters.openai_parts import parsed
from holdfast.adapters.openai_seam import Seam
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part, UIMessage

type Agent = Callable[[GenerationRequest], AsyncIterator[str | Part]]

#: Chunks that stand around text and do not end it.
_AROUND_TEXT: Final = frozenset({"start", "start-step", "message-metadata", "text-start"})


def conversation(request: GenerationRequest) -> list[UIMessage]:
    """The messages to give to an agent: the conversation and, of an interrupted answer, what stands of it.

    Tools that have run are there with their results, so that no agent runs them again; a tool that was running when
    the answer was interrupted has the result that it was interrupted. Text that came after them is followed by a
    user's message that asks to go on from it. ``chat_messages`` and ``response_input`` of
    ``holdfast.adapters.messages`` turn the messages into those of OpenAI's two APIs.

    Args:
        request: the call.

    Returns:
        UI messages, oldest first, each with an id.
    """
    stands = _standing(request)
    messages = [*request.messages, *stands.before]
    if tail := stands.tail.rstrip():
        messages.append({"role": "assistant", "parts": [{"type": "text", "text": tail}]})
        messages.append({"role": "user", "parts": [{"type": "text", "text": CONTINUE_INSTRUCTION}]})
    return [{"id": f"message-{number}", **message} for number, message in enumerate(messages)]


def continues(generate: Agent) -> Callable[[GenerationRequest], AsyncGenerator[str | Part]]:
    """Have a generator over an agent, as a decorator, go on from an interrupted answer without a visible seam.

    The agent is to be given ``conversation(request)``. Of a call that goes on, what the model repeats of the text
    before is dropped, and so is reasoning about what is already visible. Tool calls that the interruption left
    without a result get one that says so. Errors of the openai SDK, also those that the framework has wrapped, become
    ``GenerationError``s with the codes that the README lists, so that Holdfast calls again where that may help.

    Args:
        generate: an async generator function of one request, which yields text and UI chunks.
    """

    @functools.wraps(generate)
    async def continued(request: GenerationRequest) -> AsyncGenerator[str | Part]:
        for id in _unanswered(request):
            yield {"type": "tool-output-error", "toolCallId": id, "errorText": NO_RESULT}
        step = _Step(_standing(request), request)
        begun = False
        try:
            async with aclosing(_as_generator(generate(request))) as items:
                async for item in items:
                    begun = True
                    for each in step.feed(item):
                        yield each
        except GenerationError:
            raise
        except Exception as error:
            if (failure := _openai_error(error)) is None:
                raise
            raise from_sdk(failure, model=_model_of(failure), streaming=begun) from error
        if rest := step.flush():
            yield rest

    return continued


def reasoning(delta: str | None) -> Part:
    """A piece of reasoning as a chunk; pieces in a row are one part, text or a tool call ends it."""
    return {"type": "reasoning-delta", "id": "reasoning", "delta": delta or ""}


def tool_call(id: str, name: str, arguments: Any) -> Part:
    """A whole tool call as a chunk.

    Args:
        id: the call's, by which its result is known.
        name: the tool's.
        arguments: the input, as a value or as the JSON text that a model wrote.
    """
    given = parsed(arguments) if isinstance(arguments, str) else arguments
    return {"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": given}


def tool_result(id: str, output: Any) -> Part:
    """The result of a tool call as a chunk.

    Args:
        id: the call's.
        output: what the tool returned. Pydantic models and dataclasses become objects, what JSON cannot hold text.
    """
    plain = json.loads(json.dumps(output, default=_plain, ensure_ascii=False))
    return {"type": "tool-output-available", "toolCallId": id, "output": plain}


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


class _Step:
    """The step of the model in which the answer was interrupted, as it goes on."""

    def __init__(self, stands: Standing, request: GenerationRequest) -> None:
        self._seam = Seam(stands.tail)
        ran = max((at for at, part in enumerate(request.parts) if "toolCallId" in part), default=-1)
        seen = any(part.get("type") == "reasoning" and part.get("text") for part in request.parts[ran + 1 :])
        #: Whether the step is in the middle of what readers have seen.
        self._inside = seen or bool(stands.tail)

    def feed(self, item: str | Part) -> Iterator[str | Part]:
        """What readers are to get of something that the agent says."""
        if isinstance(item, str):
            if item:
                self._inside = False
            if new := self._seam.feed(item):
                yield new
            return
        kind = str(item.get("type"))
        if kind == "text-delta" and not self._seam.settled:
            self._inside = False
            if new := self._seam.feed(str(item.get("delta", ""))):
                yield {**item, "delta": new}
            return
        if self._inside and (kind == "start-step" or kind.startswith("reasoning-")):
            return
        if kind not in _AROUND_TEXT and not kind.startswith("reasoning-"):
            self._inside = False
            if rest := self.flush():
                yield rest
        yield item

    def flush(self) -> str:
        """Text that was held back."""
        return self._seam.flush()


def _standing(request: GenerationRequest) -> Standing:
    unanswered = set(_unanswered(request))
    given_up = {"state": "output-error", "errorText": NO_RESULT}
    parts = [part | given_up if part.get("toolCallId") in unanswered else part for part in request.parts]
    return standing(parts, request.partial)


def _unanswered(request: GenerationRequest) -> list[str]:
    """The tool calls of an interrupted answer that are whole and have no result."""
    calls = (part for part in request.parts if part.get("state") == "input-available")
    return [str(part["toolCallId"]) for part in calls if not part.get("providerExecuted")]


async def _as_generator(items: AsyncIterator[str | Part]) -> AsyncGenerator[str | Part]:
    """The same with ``aclose``, which an iterator need not have."""
    try:
        async for item in items:
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


def _openai_error(error: BaseException | None) -> Exception | None:
    """The error of the openai SDK that an exception is, or came of."""
    openai = sys.modules.get("openai")  # who does not use it pays nothing for it
    seen: set[int] = set()
    while openai is not None and error is not None and id(error) not in seen:
        if isinstance(error, openai.OpenAIError) and isinstance(error, Exception):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _model_of(error: Any) -> str:
    """The model that a request asked for."""
    try:
        return str(json.loads(error.request.content)["model"])
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):
        return "it was asked for"
