"""A running Keycloak, the programs `rescind serve` and `rescind pdp`, and real tokens.

Only with `make e2e-keycloak`: it needs a Keycloak, which the default suite must not.
There the same steps are replayed from a recording.
"""

from __future__ import annotations

import asyncio
import http
import json
import os
import secrets
import subprocess
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from attrs import define, field

from tests.integration.cli_server import environment, run, serving
from tests.integration.forked_program import RESCIND
from tests.integration.serving import until
from tests.pdp import hashed
from tests.recordings.keycloak.connected import AUTHORITY, claims, polling
from tests.recordings.keycloak.judging import Judging
from tests.recordings.keycloak.realm import OURS, Realm, Server, next_second, throwaway
from tests.recordings.keycloak.record import LOGS
from tests.recordings.keycloak.scenario import Expected, Step, play, set_up
from tests.recordings.keycloak.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.integration.cli_server import Running

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.timeout(900)]

ON_PURPOSE = {"keycloak.exchange", "keycloak.client_session"}
STEPS = 60  # of the random walk, a second each
SOON = 150.0  # seconds; keys are read again once a minute at most


@contextmanager
def deciding(folder: Path, server: str, issuer: dict[str, Any]) -> Iterator[str]:
    """Run `rescind pdp` until the context ends."""
    config = folder / "pdp.json"
    config.write_text(json.dumps({
        "url": server, "credential": "guard", "issuers": [issuer],
    }))  # fmt: skip
    with (folder / "pdp.log").open("w") as errors:
        process = subprocess.Popen(
            [RESCIND, "pdp", "--config", config, "--listen", "127.0.0.1:0"],
            cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=errors,
            text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        with process.stdout:
            yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)


def stream_of(folder: Path, realm: Realm) -> dict[str, Any]:
    """Have `rescind ssf connect` make the stream; give the settings that it prints."""
    done = run(
        folder, "ssf", "connect", realm.issuer, "--name", AUTHORITY,
        "--token-url", realm.token_url, "--client-id", OURS, "--allow-private",
        "--output", "json", RESCIND_SSF_TOKEN=realm.secrets[OURS],
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    report = json.loads(done.stdout)
    assert (True, True) == (report["made"], report["verified"])
    settings: dict[str, Any] = report["settings"]["ssf"]
    return settings


@define
class Watching:
    """What looks at both sides after each step."""

    realm: Realm
    pdp: str
    server: Running
    told: dict[str, str] = field(factory=dict)

    async def see(self, step: Step, expected: Mapping[str, Expected]) -> None:
        """Ask Keycloak; wait until the guard's word on every token is as expected."""
        active = {label: await self.realm.active(label) for label in expected}
        assert {label: one.active for label, one in expected.items()} == active, (
            step.name
        )
        for label in step.honoured:
            assert http.HTTPStatus.OK == await self.realm.userinfo(label), step.name
        wanted = {label: one.allowed for label, one in expected.items()}
        found: dict[str, str] = {}

        async def as_expected() -> bool:
            found.update({label: await self.answer(label) for label in expected})
            return wanted == {label: one == "200" for label, one in found.items()}

        try:
            await until(as_expected, SOON)
        except TimeoutError:
            wrong = {k: v for k, v in found.items() if wanted[k] != (v == "200")}
            pytest.fail(f"{step.name}: {wrong}\n{self.server.log.read_text()[-3000:]}")
        news = {k: one for k, one in found.items() if one != self.told.get(k)}
        self.told |= news
        print(f"{step.name}: {json.dumps(news)}")  # noqa: T201 - shown with -s

    async def answer(self, label: str) -> str:
        """Give what the decision point says of a token: 200, or the reason."""
        headers = {"Authorization": f"Bearer {self.realm.tokens[label]}"}
        url = f"{self.pdp}/v1/check"
        async with self.realm.session.get(url, headers=headers) as got:
            return "200" if got.ok else got.headers["X-Rescind-Reason"]


async def test_revocations_at_a_live_keycloak_end_at_the_guard(tmp_path: Path) -> None:
    """Each step of the scenario ends in the right verdict, and the stream is well."""
    async with throwaway(Server.from_environment()) as realm:
        found = await realm.admin("GET", "/")
        ssf = await asyncio.to_thread(stream_of, tmp_path, realm)
        settings = polling(
            realm.server.url, realm.name, realm.issuer, realm.secrets[OURS]
        )
        tokens = [{"name": "guard", "sha256": hashed("guard"), "roles": ["guard"]}]
        config = tmp_path / "rescind.json"
        config.write_text(json.dumps(settings | {"ssf": ssf, "tokens": tokens}))
        secret = {"RESCIND_SSF_TOKEN": realm.secrets[OURS]}
        issuer = claims(realm.issuer, realm.jwks_url, found["id"])
        with (
            serving(tmp_path, "--config", str(config), **secret) as server,
            deciding(tmp_path, server.url, issuer) as pdp,
        ):
            await until(lambda: ready(realm.session, pdp))
            await play(realm, Watching(realm, pdp, server).see)
            # Of three users that were logged out, signed by two keys; a verification;
            # a pause and its end.
            stream = await until(lambda: well(server, 6), SOON)
        assert 0 == stream["refused"], stream


async def test_nothing_that_keycloak_ended_is_allowed() -> None:
    """A random walk; after each step Keycloak's introspection is the oracle.

    What is denied and active there is so on purpose: it was exchanged from something
    that ended, or it ended with what its client had of a session, and Keycloak revived
    it with the next exchange. The mappers and the core judge alone here.
    """
    seed = int(os.environ.get("RESCIND_SEED") or secrets.randbits(32))
    print(f"RESCIND_SEED={seed}")  # noqa: T201 - to walk it again
    async with throwaway(Server.from_environment()) as realm:
        await set_up(realm)
        walk = Walk(realm, Random(seed))
        found = await realm.admin("GET", "/")
        judging = Judging(realm.issuer, found["id"], 0)
        while len(walk.done) < STEPS:
            await next_second()
            if not await walk.step():
                continue
            events = [
                one
                for log in LOGS
                for one in await realm.admin("GET", f"/{log}?max=2000")
            ]
            tokens = {label: realm.claims(label) for label in walk.holders}
            verdicts = judging.verdicts(judging.read(events), tokens, time.time_ns())
            walk.living = {label for label in tokens if await realm.active(label)}
            for label, verdict in verdicts.items():
                story = f"{label}, after {walk.done}"
                if label not in walk.living:
                    assert not verdict.allowed, f"allowed, though it ended: {story}"
                elif not verdict.allowed:
                    assert ON_PURPOSE & {name.kind for name in verdict.path}, story
        print("; ".join(walk.done))  # noqa: T201 - as above


def well(server: Running, accepted: int) -> dict[str, Any] | None:
    """Give the state of the stream once it was verified and gave so many SETs."""
    (stream,) = server.json("ssf", "status")["streams"]
    enough = stream["verified_at"] and stream["accepted"] >= accepted
    return dict(stream) if enough else None


async def ready(session: aiohttp.ClientSession, pdp: str) -> bool:
    """Tell whether the decision point decides."""
    async with session.get(f"{pdp}/healthz/ready") as got:
        return got.ok
