"""Who the tests are, unless they are about that: the owner of an API key."""

from __future__ import annotations

from typing import Final

API_KEY: Final = "api-key-of-the-tests-0123456789"
#: As ``HOLDFAST_API_KEYS`` names it.
API_KEYS: Final = f"tests:{API_KEY}"
OWNER: Final = "key:tests"
#: What shows that a request is theirs.
AUTH: Final = {"authorization": f"Bearer {API_KEY}"}
