"""Access tokens are got by one flow, and requests leave by one client."""

from __future__ import annotations

import ast
import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson
import pytest

from streams.outbound.answers import HttpAnswer, RequestError
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import (
    ClientCredentials,
    NoTokenError,
)
from streams.outbound.waits import LONGEST_WAIT, retry_after, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

CLIENT = "streams/outbound/client.py"
TOKEN_URL = "https://login.example/token"


class Issuer(HttpClient):
    """A token endpoint, and an API that takes its newest token alone."""

    def __init__(self, **answer: Any) -> None:
        """Give tokens with these values beside."""
        super().__init__(authorization=self.tokens())
        self.answer = answer
        self.now = 0.0
        self.forms: list[tuple[dict[str, list[str]], str]] = []
        self.asked: list[str] = []
        self.taken: Callable[[str], bool] = self._newest

    def _newest(self, bearer: str) -> bool:
        return bearer == f"Bearer t{len(self.forms)}"

    async def attempt(
        self, method: str, url: Any, headers: Any, data: Any = None, *_: Any
    ) -> HttpAnswer:
        """Answer after a turn of the loop."""
        del method
        await asyncio.sleep(0)
        if str(url) != TOKEN_URL:
            self.asked.append(headers["authorization"])
            return HttpAnswer({}, b"", 200 if self.taken(self.asked[-1]) else 401)
        fields = parse_qs(data.decode())
        self.forms.append((fields, headers.get("Authorization", "")))
        token = {"access_token": f"t{len(self.forms)}"} | self.answer
        return HttpAnswer({}, orjson.dumps(token))

    def tokens(self, **values: Any) -> ClientCredentials:
        """Tokens of this issuer."""
        return ClientCredentials(
            TOKEN_URL, "us", lambda: "hunter2", lambda: self.now, **values
        )


async def test_a_token_is_asked_for_once_and_again_shortly_before_its_end() -> None:
    """By all who want it at the same moment."""
    issuer = Issuer(expires_in=3600)
    tokens = issuer.tokens()

    found = await asyncio.gather(*(tokens.value(issuer) for _ in range(8)))
    issuer.now = 3569.0
    found.append(await tokens.value(issuer))
    issuer.now = 3571.0

    assert {"Bearer t1"} == set(found)
    assert "Bearer t2" == await tokens.value(issuer)


async def test_the_client_authenticates_in_the_body_or_by_basic() -> None:
    """RFC 6749 section 2.3.1: the one or the other."""
    issuer = Issuer()
    await issuer.tokens(scope="read").value(issuer)
    await issuer.tokens(basic=True).value(issuer)

    grant = {"grant_type": ["client_credentials"]}
    body = {"scope": ["read"], "client_id": ["us"], "client_secret": ["hunter2"]}
    assert [(grant | body, ""), (grant, "Basic dXM6aHVudGVyMg==")] == issuer.forms


async def test_a_refused_token_is_renewed_once_by_all_who_hold_it() -> None:
    """One that the API does not take either is not asked for without end."""
    issuer = Issuer(expires_in=3600)
    await issuer.request("GET", "https://api.example/")
    issuer.taken = lambda bearer: bearer == "Bearer t2"

    answers = await asyncio.gather(
        *(issuer.request("GET", "https://api.example/") for _ in range(8))
    )
    assert {200} == {each.status for each in answers}
    assert 2 == len(issuer.forms)

    issuer.asked.clear()
    issuer.taken = lambda _: False
    assert 401 == (await issuer.request("GET", "https://api.example/")).status
    assert ["Bearer t2", "Bearer t3"] == issuer.asked


async def test_who_was_refused_late_does_not_end_the_renewed_token() -> None:
    """Its request was made with the one before."""
    issuer = Issuer(expires_in=3600)
    tokens = issuer.tokens()
    old = await tokens.value(issuer)
    assert tokens.refused(old)
    new = await tokens.value(issuer)

    assert tokens.refused(old)
    assert ("Bearer t1", "Bearer t2", new) == (old, new, await tokens.value(issuer))


@pytest.mark.parametrize("token", [None, "", "a b", "a\nb", "ä", 7])
async def test_what_is_no_token_is_none(token: Any) -> None:
    """It would be written into a header."""
    issuer = Issuer(access_token=token)

    with pytest.raises(NoTokenError, match="gives no access_token") as got:
        await issuer.tokens().value(issuer)
    assert "hunter2" not in f"{got.value!r}{issuer.tokens()!r}"


@pytest.mark.parametrize("life", ["x", None, [], -1, 1e12])
async def test_an_odd_life_is_a_short_one(life: Any) -> None:
    """Or none at all, where it is no number."""
    issuer = Issuer(expires_in=life)
    tokens = issuer.tokens()
    try:
        await tokens.value(issuer)
    except NoTokenError:
        assert life in ("x", None, [])
        return
    issuer.now = 31.0
    assert "Bearer t2" == await tokens.value(issuer)


def test_a_wait_that_is_asked_for_has_an_end() -> None:
    """A receiver of alerts may ask for days; a vendor's log is looked at again."""
    asked = {"retry-after": "999999999999"}

    assert 999_999_999 == retry_after(asked, 0)
    assert LONGEST_WAIT == waiting(asked, 0)


def test_an_error_says_no_more_than_its_reason() -> None:
    """What an answer holds is not part of it."""
    answer = HttpAnswer({"x": "hunter2"}, b"hunter2", 429)

    with pytest.raises(RequestError) as got:
        answer.ok()
    assert ("status 429", 429) == (str(got.value), got.value.status)
    assert "hunter2" not in repr(answer)


def test_requests_leave_by_one_client(repository: Path) -> None:
    """No other module opens a session, or a connection of another library."""
    found = {
        path.relative_to(repository).as_posix()
        for path in (repository / "streams").rglob("*.py")
        if _opens(path.read_text("utf-8"))
    }

    # The commands' own client for our server, which needs no event loop, and a relay of
    # another feed, whose connections last as a guard's do.
    own = {"streams/clients/rescind.py", "streams/apps/onward.py"}
    assert {CLIENT, *own} == found


def _opens(text: str) -> bool:
    names = {"ClientSession", "HTTPConnection", "HTTPSConnection", "urlopen"}
    libraries = {"httpx", "requests", "urllib3", "urllib.request"}
    if not any(name in text for name in names | libraries):
        return False
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found = {each.name for each in node.names} & libraries
        elif isinstance(node, ast.ImportFrom):
            found = {node.module or ""} & libraries
            found |= {each.name for each in node.names} & names
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found = {called} & names
        else:
            continue
        if found:
            return True
    return False
