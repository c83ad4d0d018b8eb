"""Bugs planted into what leaves to other systems, and into hooks, are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/unit/test_outbound.py",
    "tests/unit/test_okta.py", "tests/integration",
)  # fmt: skip
CLIENT: Final = "streams/outbound/client.py"
TOKENS: Final = "streams/outbound/client_credentials.py"
RULE: Final = "streams/outbound/pinned.py"
SENT: Final = "tests/integration/test_outbound_client.py"
UNIT: Final = "tests/unit/test_outbound.py"


class Wrong(NamedTuple):
    """A wrong line, and the file of the test that must fail."""

    change: Change
    test: str


BUGS: Final = {
    "redirects are followed": Wrong(
        Change(CLIENT, "allow_redirects=False", "allow_redirects=True"), SENT
    ),
    "cookies are kept": Wrong(
        Change(CLIENT, "cookie_jar=aiohttp.DummyCookieJar(),",
               "cookie_jar=aiohttp.CookieJar(unsafe=True),"), SENT
    ),
    "an answer has no end": Wrong(
        Change(CLIENT, "if len(body) > largest:", "if largest < 0:"), SENT
    ),
    "a password in a URL is sent": Wrong(
        Change(CLIENT, "if url.user is not None or url.password is not None:",
               "if url.user is None and url.password is not None:"), SENT
    ),
    "a slow receiver is an error": Wrong(
        Change(CLIENT, "_beginning if bounds.cut else _whole",
               "_whole if bounds.cut else _whole"), SENT
    ),
    "in clear text to any address": Wrong(
        Change(RULE, 'url.scheme == "http" and not self.clear_text',
               'url.scheme == "none" and not self.clear_text'), SENT
    ),
    "a token for each caller": Wrong(
        Change(TOKENS, "async with self._asking:", "async with asyncio.Lock():"), UNIT
    ),
    "a renewed token is forgotten": Wrong(
        Change(TOKENS, 'if value == f"Bearer {self._token}":', "if value:"), UNIT
    ),
    "a refused token is kept": Wrong(
        Change(CLIENT, "not by.refused(value)", "by.refused(value)"), UNIT
    ),
    "an empty secret fits an empty header": Wrong(
        Change("streams/sources/hooking.py", "if not secret or given is None:",
               "if given is None:"), "tests/unit/test_okta.py"
    ),
}  # fmt: skip
CHANGES: Final = [each.change for each in BUGS.values()]
QUICK: Final = ("redirects are followed", "a renewed token is forgotten")


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name].change)

    assert caught(run_tests(tmp_path, BUGS[name].test))
