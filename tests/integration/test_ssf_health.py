"""A running server watches over its streams: verifications, pauses, silence."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from streams.ssf import heartbeat, poll
from tests.integration.serving import running, until
from tests.transmitter import BEARER, PUSH, SSF, transmitting

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server
    from tests.transmitter import Transmitter

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    monkeypatch.setattr(poll, "PAUSE", 0.02)
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.02)


def polled(transmitter: Transmitter, **more: Any) -> dict[str, Any]:
    """Make a stream at the transmitter; give the settings that poll it."""
    transmitter.streams["s1"] = {
        "stream_id": "s1", "iss": transmitter.url, "status": "enabled", "subjects": [],
        "delivery": {"method": PUSH},
    }  # fmt: skip
    made = {
        "delivery": "poll", "authority": "stranger", "stream_id": "s1",
        "endpoint": f"{transmitter.url}/poll/s1", "verify_seconds": 0.05,
    }  # fmt: skip
    return {"ssf": {"idp": transmitter.settings(**(made | more))}}


async def health(server: Server) -> dict[str, Any]:
    """Give the health of the one stream."""
    _, answer = await server.get("/v1/ssf")
    (one,) = answer["streams"]
    return dict(one)


async def found(server: Server, kind: str) -> list[dict[str, Any]]:
    """Give the findings of a kind."""
    return [one for one in await server.findings() if one["kind"] == kind]


async def test_verifications_come_back_through_the_stream(tmp_path: Path) -> None:
    """Each with the state that it was asked with."""
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):

        async def verified() -> dict[str, Any] | None:
            one = await health(server)
            return one if one["verified_at"] and one["accepted"] > 1 else None

        one = await until(verified)
        assert one["good"]
        assert "enabled" == one["status"]
        assert not transmitter.errors
    states = [body["state"] for body in transmitter.bodies if "state" in body]
    assert len(states) == len(set(states)) > 1


async def test_a_wrong_state_and_a_wrong_stream_are_refused(tmp_path: Path) -> None:
    """SSF 1.0 section 8.1.4.2: invalid_state; and nothing counts as verified."""
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter, verify_seconds=0)) as server,
    ):
        about = transmitter.about
        transmitter.put("v1", about("s1", "verification", {"state": "guessed"}))
        transmitter.put("v2", about("s2", "verification", {}))
        transmitter.put("v3", about("s1", "stream-updated", {"status": "on holiday"}))
        transmitter.put("v4", about("s1", "stream-updated", {"status": [{}]}))
        transmitter.put("v5", about("s1", "stream-updated", {"status": {"status": {}}}))
        transmitter.put("v6", about("s1", "verification", {"state": {}}))
        await until(lambda: len(transmitter.errors) == 6)
        one = await health(server)
        assert (None, 6) == (one["verified_at"], one["refused"])
        transmitter.put("v7", about("s1", "verification", {}))
        await until(lambda: "v7" in transmitter.acked)
        assert (await health(server))["verified_at"]
    codes = {jti: why["err"] for jti, why in transmitter.errors.items()}
    assert codes == {
        "v1": "invalid_state", "v2": "invalid_request", "v3": "invalid_request",
        "v4": "invalid_request", "v5": "invalid_request", "v6": "invalid_state",
    }  # fmt: skip


async def test_a_pause_is_found_and_its_end_is_a_gap_also_after_a_restart(
    tmp_path: Path,
) -> None:
    """The record of the stream is kept in the data folder."""
    async with transmitting() as transmitter:
        settings = polled(transmitter, verify_seconds=0)
        async with running(tmp_path, **settings) as server:
            said: dict[str, Any] = {"status": "paused", "reason": "upkeep"}
            transmitter.put("p", transmitter.about("s1", "stream-updated", said))
            (stopped,) = await until(partial(found, server, "source_stopped"))
            assert "source:ssf:idp" == stopped["presented"]
            assert "upkeep" in stopped["message"]
            one = await health(server)
            assert ("paused", "upkeep", False) == (
                one["status"], one["reason"], one["good"],
            )  # fmt: skip
            await until(lambda: kept(server))
        async with running(tmp_path, **settings) as server:
            assert "paused" == (await until(partial(known, server)))["status"]
            said = {"status": {"stream_id": "s1", "status": "enabled"}}  # Keycloak 26
            transmitter.put("e", transmitter.about("s1", "stream-updated", said))
            (gap,) = await until(partial(found, server, "source_gap"))
            assert one["since"] in gap["message"]
            one = await health(server)
            assert one["gap"]
            assert one["good"]


async def known(server: Server) -> dict[str, Any] | None:
    """Give the health once its record was read."""
    one = await health(server)
    return one if one["status"] != "unknown" else None


async def kept(server: Server) -> bool:
    """Tell whether the record that is kept has the pause."""
    store = server.served.stages.store
    rows = await store.read(
        "SELECT body FROM kept WHERE kind = 'health' AND name = 'server/idp'"
    )
    return bool(rows) and b"paused" in rows[0][0]


async def test_a_pause_that_nobody_announced_is_found_by_asking(
    tmp_path: Path,
) -> None:
    """The status endpoint is asked with every verification."""
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):
        await until(lambda: ("POST", "/api/verify") in transmitter.calls)
        transmitter.streams["s1"]["status"] = "disabled"
        await until(partial(found, server, "source_stopped"))
        transmitter.streams["s1"]["status"] = "enabled"

        async def flows() -> bool:
            return any(not one["open"] for one in await found(server, "source_stopped"))

        await until(flows)


async def test_a_silent_stream_is_a_finding(tmp_path: Path) -> None:
    """Verifications are accepted and do not come."""
    async with (
        transmitting(mute=True) as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):
        (one,) = await until(partial(found, server, "source_silent"))
        assert "no verification came" in one["message"]
        assert (await health(server))["silent"]
        transmitter.put("a1")

        async def good() -> bool:
            return not (await health(server))["silent"]

        transmitter.mute = False
        await until(good)

        async def over() -> bool:
            return any(not one["open"] for one in await found(server, "source_silent"))

        await until(over)


async def test_a_transmitter_that_is_away_is_trouble_and_serving_goes_on(
    tmp_path: Path,
) -> None:
    """Of a pushed stream without its keys: the sender shall repeat."""
    async with transmitting() as transmitter:
        made = transmitter.settings(stream_id="s1", verify_seconds=0.05)
        token = transmitter.signed(SSF + "verification", {})
    async with running(tmp_path, ssf={"idp": made}) as server:

        async def trouble() -> bool:
            return "cannot reach" in (await health(server))["trouble"]

        await until(trouble)
        headers = {
            "Authorization": "Bearer stranger",
            "Content-Type": "application/secevent+jwt",
        }
        url = f"{server.url}/v1/ssf/push/idp"
        async with server.session.post(url, data=token, headers=headers) as got:
            assert 503 == got.status
            assert got.headers["Retry-After"]
        await asyncio.sleep(0)
        assert 200 == (await server.get("/v1/ssf"))[0]


async def test_what_two_say_at_once_is_found_once_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    """An event of the stream and its status, while SETs are counted."""
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter, verify_seconds=0)) as server,
    ):
        for number in range(20):
            transmitter.put(f"a{number}")
            said = {"status": "paused"}
            told = transmitter.about("s1", "stream-updated", said)
            transmitter.put(f"p{number}", told)
        await until(lambda: len(transmitter.acked) == 40)
        assert 40 == (await health(server))["accepted"]
        (stopped,) = await until(partial(found, server, "source_stopped"))
        assert 1 == stopped["count"]


async def test_asked_too_often_is_no_trouble(tmp_path: Path) -> None:
    """A transmitter may allow one verification a minute, and we just began."""
    async with transmitting() as transmitter:
        transmitter.planned["/api/verify"] = [429, 500]
        async with running(tmp_path, **polled(transmitter)) as server:

            async def trouble() -> str:
                return str((await health(server))["trouble"])

            assert "500" in await until(trouble)


async def test_a_full_disk_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice is written once there is room."""
    from streams.services.ingest import Intake  # noqa: PLC0415 - to be broken
    from streams.services.intake import NotWrittenError  # noqa: PLC0415 - as above

    tried = []

    async def full(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise NotWrittenError("database or disk is full")

    async with (
        transmitting(mute=True) as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):
        with monkeypatch.context() as broken:
            broken.setattr(Intake, "records", full)
            transmitter.put("a1")
            await until(lambda: len(tried) > 4)
            assert not transmitter.acked
        await until(partial(found, server, "source_silent"))
        await until(lambda: "a1" in transmitter.acked)
