"""Tests of the tests of streams: each planted bug must be caught by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import pytest

from streams.clients import jwks_cache as key_set
from streams.outbound import pinned
from streams.sources.ssf.verifier import claimed
from streams.ssf import health, poll, receiver
from streams.ssf.health import StreamHealth
from streams.ssf.poll import StreamPoll
from tests.integration import test_ssf_management as managing
from tests.integration import test_ssf_poll as polling
from tests.integration import test_ssf_refusals as refusing
from tests.transmitter import BEARER
from tests.unit import test_ssf_health as remembering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.ssf.poll import SetsOutcome

pytestmark = pytest.mark.planted


class Bug(NamedTuple):
    """What is wrong, where, and the test that must fail."""

    place: Any
    name: str
    wrong: Any
    test: Callable[[Path, pytest.MonkeyPatch], Any]


_ONE = StreamPoll._one


async def too_soon(
    self: StreamPoll, jti: str, token: Any, outcome: SetsOutcome
) -> None:
    """Acknowledge what is not yet durable."""
    await _ONE(self, jti, token, outcome)
    if jti not in outcome.ack and jti not in outcome.errors:
        outcome.ack.append(jti)


def believing(token: bytes, *_: Any) -> dict[str, Any]:
    """Look at no signature."""
    return claimed(token)


def any_state(now: StreamHealth, _: str | None, __: float, at: int) -> StreamHealth:
    """Take any verification event for an answer."""
    return attrs.evolve(now, verified_at=at)


def refusal(name: str) -> Callable[[Path, pytest.MonkeyPatch], Any]:
    """Run the test of one refused token."""

    def test(folder: Path, _: pytest.MonkeyPatch) -> Any:
        return refusing.test_is_refused_with_its_code_and_changes_nothing(folder, name)

    return test


BUGS = {
    "acknowledged before it is durable": Bug(
        StreamPoll, "_one", too_soon,
        polling.test_nothing_is_acknowledged_before_it_is_durable,
    ),
    "no signature is checked": Bug(
        receiver, "verify", believing, refusal("another key")
    ),
    "keys as often as tokens ask": Bug(
        key_set, "COOL_DOWN", 0.0,
        lambda folder, _: refusing.test_unknown_kids_cost_one_look_at_the_keys(folder),
    ),
    "private addresses are called": Bug(
        pinned, "is_public", lambda _: True,
        lambda *_: managing.test_calls_go_to_the_public_internet_alone(
            "http://127.0.0.1:1/x", "not on the public internet"
        ),
    ),
    "any verification is an answer": Bug(
        health, "verified", any_state,
        lambda *_: (
            remembering.test_a_verification_must_have_a_state_that_was_asked_with()
        ),
    ),
    "a pause leaves no gap": Bug(
        health, "updated", lambda now, *_: (now, ()),
        lambda *_: remembering.test_a_paused_stream_is_a_finding_and_leaves_a_gap(),
    ),
}  # fmt: skip


def made(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


async def run(bug: Bug, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Run the test of a bug, plain or async."""
    with patch.context() as inner:
        result = bug.test(folder, inner)
        if result is not None:
            await result


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_planted_bug_is_caught(
    bug: Bug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test passes on the code as it is, and fails with the bug."""
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    monkeypatch.setattr(poll, "PAUSE", 0.02)
    await run(bug, made(tmp_path / "right"), monkeypatch)

    monkeypatch.setattr(bug.place, bug.name, bug.wrong)

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        await run(bug, made(tmp_path / "wrong"), monkeypatch)
