"""What a real Keycloak said is replayed to a real server; a guard gives the verdicts.

The recording is made by ``tests/recordings/keycloak/record.py`` on a running Keycloak,
and `make e2e-keycloak` shows the same on the live one.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from attrs import define

from enforcement.guard import Guard
from streams.clients import jwks_cache as key_set
from streams.pdp.claims import presented
from streams.pdp.settings import Issuer
from tests.integration.recorded_keycloak import Recorded, recorded, recording
from tests.integration.serving import Server, running, until
from tests.recordings.keycloak.connected import claims
from tests.recordings.keycloak.scenario import expectations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agents_registry.presentation import Presented
    from enforcement.verdict import Verdict

pytestmark = pytest.mark.integration

STEPS = expectations()


@define
class Replay:
    """A recorded Keycloak, the server that reads it, and a guard."""

    said: dict[str, Any]
    keycloak: Recorded
    server: Server
    guard: Guard

    async def play(self, step: dict[str, Any]) -> None:
        """Play a step; returns once the guard has all that came of it."""
        self.keycloak.say(step)
        await self.keycloak.heard()
        await until(lambda: self.server.served.stages.idle)
        end = self.server.served.stages.store.end
        standing = self.guard.standing
        await until(lambda: (standing.replica.position or 0) >= end)
        await until(standing.holds)

    def present(self, token: dict[str, Any]) -> Presented:
        """Give what a gateway presents for a token with these claims."""
        settings = claims(self.said["issuer"], "jwks.json", self.said["realm_id"])
        return presented(token, Issuer.model_validate(settings))

    def check(self, token: dict[str, Any]) -> Verdict:
        """Ask the guard about a token with these claims."""
        return self.guard.check(self.present(token))


@asynccontextmanager
async def replaying(folder: Path, said: dict[str, Any]) -> AsyncIterator[Replay]:
    """Run all of it until the context ends."""
    async with (
        recorded(said) as keycloak,
        running(folder, clock=keycloak.clock, **keycloak.settings()) as server,
        Guard(server.url, "guard", name="g", wall_clock=keycloak.clock) as guard,
    ):
        assert await guard.ready(30)
        yield Replay(said, keycloak, server, guard)


@pytest.fixture
def _keys_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new keys be read at once: the minute of the recording is not waited for."""
    monkeypatch.setattr(key_set, "COOL_DOWN", 0.0)
    monkeypatch.setenv("RECORDED_TOKEN", "a-token-of-the-replay")


@pytest.mark.usefixtures("_keys_at_once")
async def test_each_revocation_at_keycloak_ends_in_the_right_verdict(
    tmp_path: Path,
) -> None:
    """Step by step: what is dead is denied, what Keycloak lets live is allowed.

    A chain of token exchanges is the exception: Keycloak goes on to honour what was
    exchanged from a revoked token, and here it is denied.
    """
    said = recording()
    tokens: dict[str, dict[str, Any]] = {}
    async with replaying(tmp_path, said) as replay:
        assert [step.name for step, _ in STEPS] == [s["name"] for s in said["steps"]]
        for (step, expected), recorded_step in zip(STEPS, said["steps"], strict=True):
            await replay.play(recorded_step)
            tokens |= recorded_step["tokens"]
            active = {label: one.active for label, one in expected.items()}
            allowed = {label: one.allowed for label, one in expected.items()}
            verdicts = {label: replay.check(tokens[label]) for label in expected}
            assert active == recorded_step["active"], step.name
            assert allowed == {
                label: verdict.allowed for label, verdict in verdicts.items()
            }, (step.name, {k: (v.reason, v.cause) for k, v in verdicts.items()})
        assert {} == replay.keycloak.refused
        _, answer = await replay.server.get("/v1/ssf")
    (stream,) = answer["streams"]
    sets = [token for step in said["steps"] for token in step["sets"]]
    assert (len(sets), 0) == (stream["accepted"], stream["refused"])
    assert 2 == len({jwt.get_unverified_header(token)["kid"] for token in sets})
