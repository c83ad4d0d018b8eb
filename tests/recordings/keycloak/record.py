"""Record what a running Keycloak says while the scenario is played.

    python -m tests.recordings.keycloak.record

writes ``recording.json`` beside this file: events, admin events and SETs of each step,
the public keys of that moment, the claims that gateways would see, and what Keycloak's
introspection says of each token. No token and no secret is in it; the SETs are signed
statements that give nobody access.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from tests.recordings.keycloak.realm import OURS, Realm, Server, throwaway
from tests.recordings.keycloak.scenario import Expected, Step, play

FILE: Final = Path(__file__).resolve().parent / "recording.json"
LOGS: Final = ("events", "admin-events")
# What of a token stands in the recording: what names things, and its times.
CLAIMS: Final = ("iss", "sub", "jti", "sid", "azp", "aud", "typ", "iat", "exp", "act")
_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"


@define
class Recorder:
    """Keeps what is new after each step."""

    realm: Realm
    stream: dict[str, Any]
    steps: list[dict[str, Any]] = field(factory=list)
    _seen: set[str] = field(factory=set)
    _labels: set[str] = field(factory=set)

    async def see(self, step: Step, expected: Mapping[str, Expected]) -> None:
        """Keep a step.

        Raises:
            AssertionError: Keycloak's word on a token is not what the scenario says.
        """
        active = {label: await self.realm.active(label) for label in expected}
        assert {label: one.active for label, one in expected.items()} == active, (
            step.name
        )
        new = [label for label in expected if label not in self._labels]
        self._labels.update(new)
        kept = {
            "name": step.name,
            "tokens": {label: self._claims(label) for label in new},
            "sets": await self._sets(),
            **{log: [one async for one in self._events(log)] for log in LOGS},
            "jwks": await self.realm.jwks(),
            "active": active,
        }
        self.steps.append(kept | {"at": time.time_ns()})

    def _claims(self, label: str) -> dict[str, Any]:
        claims = self.realm.claims(label)
        return {name: claims[name] for name in CLAIMS if name in claims}

    async def _sets(self) -> list[str]:
        url = self.stream["delivery"]["endpoint_url"]
        found: list[str] = []
        ack: list[str] = []
        while True:
            body = {"maxEvents": 100, "returnImmediately": True, "ack": ack}
            sets = (await self.realm.signals("POST", url, body)).get("sets") or {}
            if not sets:
                return found
            found += sets.values()
            ack = list(sets)

    async def _events(self, log: str) -> Any:
        """Give what is new in a log, oldest first."""
        for one in reversed(await self.realm.admin("GET", f"/{log}?max=1000")):
            if one["id"] not in self._seen:
                self._seen.add(one["id"])
                yield one


async def record(server: Server) -> dict[str, Any]:
    """Play the scenario; give the recording."""
    async with throwaway(server) as realm:
        stream = await realm.signals("POST", "/streams", {
            "events_requested": [f"{_CAEP}session-revoked",
                                 f"{_CAEP}credential-change"],
            "delivery": {"method": "urn:ietf:rfc:8936"}, "description": "Rescind",
        })  # fmt: skip
        recorder = Recorder(realm, stream)
        await play(realm, recorder.see)
        found = await realm.admin("GET", "/")
        audience = stream["aud"]
        recording = {
            "server": "Keycloak " + await _version(realm),
            "realm": realm.name,
            "realm_id": found["id"],
            "issuer": realm.issuer,
            "stream": {
                "stream_id": stream["stream_id"],
                "audience": audience if isinstance(audience, list) else [audience],
            },
            "steps": recorder.steps,
        }
        check(recording, [*realm.secrets.values(), *realm.tokens.values(),
                          *realm.refresh_tokens.values(), server.password])  # fmt: skip
        return recording


async def _version(realm: Realm) -> str:
    """Ask for the version: the administrator of the master realm may know it."""
    url = f"{realm.server.url}/admin/serverinfo"
    headers = {"Authorization": f"Bearer {await realm._admin()}"}
    async with realm.session.get(url, headers=headers) as got:
        return str((await got.json()).get("systemInfo", {}).get("version", "?"))


def check(recording: dict[str, Any], hidden: Iterable[str]) -> None:
    """See that no secret and no token got into a recording.

    Raises:
        AssertionError: one did; it is not told which.
    """
    text = json.dumps(recording)
    signatures = [one.rpartition(".")[2] for one in hidden]
    assert not any(one in text for one in signatures if len(one) > 8)
    assert f'"{OURS}-secret"' not in text


def main() -> None:
    """Write the recording."""
    recording = asyncio.run(record(Server.from_environment()))
    FILE.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8")
    steps = recording["steps"]
    events = sum(len(step[log]) for step in steps for log in LOGS)
    sets = sum(len(step["sets"]) for step in steps)
    print(f"{recording['server']}: {len(steps)} steps, {events} events, {sets} SETs")  # noqa: T201


if __name__ == "__main__":
    main()
