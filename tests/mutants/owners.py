"""The mutants of chapter U: each lets somebody in who should stay outside."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SESSIONS = "tests/auth/test_sessions.py"
_SHARES = "tests/auth/test_shares.py"

OWNERS: tuple[Mutant, ...] = (
    Mutant(
        name="any owner reads",
        rule="U7",
        file="lib/holdfast/access.py",
        old="return owner is not None and owner == self.owner",
        new="return owner is not None",
        tests=("tests/auth/test_ownership.py::test_a_stranger_s_stream_is_as_good_as_none[60000-GET-]",),
    ),
    Mutant(
        name="a refusal tells by its time",
        rule="U7",
        file="lib/holdfast/subscribe.py",
        old="await self._conceal(give_up)",
        new="pass",
        tests=("tests/auth/test_ownership.py::test_a_stranger_s_stream_is_as_good_as_none[60000-GET-]",),
    ),
    Mutant(
        name="a revoked share reads",
        rule="U11",
        file="lib/holdfast/access.py",
        old="return not (self.token.shared and revoked)",
        new="return True",
        tests=(
            f"{_SHARES}::test_all_shares_are_revoked_and_new_ones_are_good",
            f"{_SHARES}::test_one_share_is_revoked",
        ),
    ),
    Mutant(
        name="a token never ends",
        rule="U9",
        file="lib/holdfast/tokens.py",
        old=" or now >= int(expires):",
        new=":",
        tests=(f"{_SHARES}::test_tokens_end",),
    ),
    Mutant(
        name="a neighbour's cookie counts",
        rule="U4",
        file="lib/holdfast/auth.py",
        old="request.cookies.get(HOST_COOKIE if self._is_secure(request) else COOKIE)",
        new="request.cookies.get(HOST_COOKIE, request.cookies.get(COOKIE))",
        tests=(f"{_SESSIONS}::test_a_cookie_that_a_neighbour_planted",),
    ),
    Mutant(
        name="a code is good twice",
        rule="U12",
        file="lib/holdfast/links.py",
        old="return owner if by == nonce else None",
        new="return owner",
        tests=("tests/auth/test_links.py::test_a_code_is_used_once",),
    ),
    Mutant(
        name="a JWT without an end",
        rule="U2",
        file="lib/holdfast/adapters/jwts.py",
        old='options={"require": ["exp", "sub"], ',
        new='options={"require": ["sub"], ',
        tests=("tests/auth/test_bearers.py::test_a_jwt_that_proves_nothing[endless]",),
    ),
    Mutant(
        name="a name that looks like an owner",
        rule="U1",
        file="lib/holdfast/auth.py",
        old='Caller(f"{prefix}:{name}", kind)',
        new='Caller(name if ":" in name else f"{prefix}:{name}", kind)',
        tests=("tests/auth/test_bearers.py::test_no_kind_can_name_another_kind_s_owner",),
    ),
)
