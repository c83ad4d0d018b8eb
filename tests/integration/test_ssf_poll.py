"""A running server polls a transmitter, as RFC 8936 says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from streams.apps.builders.access import ConfigurationError
from streams.apps.embedded import serve
from streams.settings.server import Settings
from streams.ssf import poll
from streams.ssf.receiver import StreamReceiver
from tests.integration.serving import running, until, values
from tests.transmitter import BEARER, transmitting

if TYPE_CHECKING:
    from pathlib import Path

    from streams.services.intake import Speaker
    from tests.integration.serving import Server
    from tests.transmitter import Transmitter

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    monkeypatch.setattr(poll, "PAUSE", 0.02)


def polled(transmitter: Transmitter, **more: Any) -> dict[str, Any]:
    """Give the settings of one polled stream."""
    made = {
        "delivery": "poll", "authority": "stranger", "stream_id": "s1",
        "endpoint": f"{transmitter.url}/poll/s1",
    }  # fmt: skip
    return {"ssf": {"idp": transmitter.settings(**made, **more)}}


async def denied(server: Server, jti: str) -> bool:
    """Tell whether a token is revoked."""
    _, why = await server.get(f"/v1/why/jwt.jti:{jti}")
    return bool(why["cause"])


async def health(server: Server) -> dict[str, Any]:
    """Give the health of the one stream."""
    _, answer = await server.get("/v1/ssf")
    (one,) = answer["streams"]
    return dict(one)


async def test_polled_sets_deny_and_are_acknowledged_after(tmp_path: Path) -> None:
    """More than one answer holds; an acknowledgement comes with a later request."""
    async with transmitting() as transmitter:
        for number in range(5):
            transmitter.put(f"a{number}")
        async with running(tmp_path, **polled(transmitter)) as server:
            await until(lambda: len(transmitter.acked) == 5)
            for number in range(5):
                await until(partial(denied, server, f"tok-a{number}"))
            transmitter.put("late")
            await until(lambda: "late" in transmitter.acked)
            await until(lambda: denied(server, "tok-late"))
            assert {"accepted": 6, "refused": 0}.items() <= (
                await health(server)
            ).items()
    assert not transmitter.queue


async def test_what_was_not_acknowledged_is_taken_in_again(tmp_path: Path) -> None:
    """A crash between the facts and the acknowledgement costs nothing."""
    async with transmitting() as transmitter:
        transmitter.put("a1")
        transmitter.answers = 1
        async with running(tmp_path, **polled(transmitter)) as server:
            await until(lambda: denied(server, "tok-a1"))
        assert not transmitter.acked
        transmitter.answers = None
        async with running(tmp_path, **polled(transmitter)) as server:
            await until(lambda: "a1" in transmitter.acked)
            await until(lambda: denied(server, "tok-a1"))


async def test_nothing_is_acknowledged_before_it_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the log takes nothing the transmitter keeps its SETs."""
    from streams.services.ingest import Intake  # noqa: PLC0415 - to be broken
    from streams.services.intake import NotWrittenError  # noqa: PLC0415 - as above

    tried = []

    async def full(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise NotWrittenError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(Intake, "records", full)
        async with transmitting() as transmitter:
            transmitter.put("a1")
            async with running(tmp_path, **polled(transmitter)) as server:
                await until(lambda: len(tried) >= 3 or transmitter.acked)
                assert not transmitter.acked
                assert "a1" in transmitter.queue
                broken.undo()
                await until(lambda: "a1" in transmitter.acked)
                await until(lambda: denied(server, "tok-a1"))


async def test_a_fault_of_ours_leaves_the_set_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on, and takes the others in."""
    take = StreamReceiver.take

    async def faulty(self: StreamReceiver, token: bytes, speaker: Speaker) -> None:
        if b"hostile" in token:
            raise TypeError("planted")
        await take(self, token, speaker)

    monkeypatch.setattr(StreamReceiver, "take", faulty)
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):
        transmitter.put("a1", "hostile")
        transmitter.put("a2")
        await until(lambda: "a2" in transmitter.acked)
        await until(lambda: denied(server, "tok-a2"))
        assert "a1" in transmitter.queue
        assert not transmitter.errors


async def test_refused_sets_are_reported_once_and_the_others_taken(
    tmp_path: Path,
) -> None:
    """Each with its code; nothing of them is applied."""
    async with transmitting() as transmitter:
        transmitter.put("good")
        transmitter.put("issuer", iss="https://evil.example")
        transmitter.put("audience", aud="https://evil.example")
        transmitter.put("nonsense", "nonsense")
        transmitter.queue["number"] = 7  # type: ignore[assignment]
        async with running(tmp_path, **polled(transmitter)) as server:
            await until(lambda: len(transmitter.errors) == 4)
            await until(lambda: transmitter.acked)
            assert not await denied(server, "tok-issuer")
    assert ["good"] == transmitter.acked
    codes = {jti: why["err"] for jti, why in transmitter.errors.items()}
    assert codes == {
        "issuer": "invalid_issuer", "audience": "invalid_audience",
        "nonsense": "invalid_request", "number": "invalid_request",
    }  # fmt: skip


async def test_a_key_that_may_have_come_since_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SET of a new key is left in the queue until the keys were read again."""
    async with (
        transmitting() as transmitter,
        running(tmp_path, **polled(transmitter)) as server,
    ):
        transmitter.put("a1")
        await until(lambda: "a1" in transmitter.acked)
        fetched = transmitter.fetched
        transmitter.keys["k2"] = ec.generate_private_key(ec.SECP256R1())
        transmitter.put("a2", kid="k2")
        polls = len(transmitter.calls)
        await until(lambda: len(transmitter.calls) > polls + 3)
        assert fetched == transmitter.fetched
        assert "a2" in transmitter.queue
        assert 0 == (await health(server))["refused"]
        monkeypatch.setattr("streams.clients.jwks_cache.COOL_DOWN", 0.0)
        await until(lambda: "a2" in transmitter.acked)
        await until(lambda: denied(server, "tok-a2"))
    assert not transmitter.errors


@pytest.mark.parametrize("status", [401, 500, 503])
async def test_a_transmitter_that_fails_is_asked_again(
    tmp_path: Path, status: int
) -> None:
    """Its failure stands in the health until it is over."""
    async with transmitting() as transmitter:
        transmitter.put("a1")
        transmitter.planned["/poll/s1"] = [status] * 3
        async with running(tmp_path, **polled(transmitter)) as server:

            async def trouble() -> bool:
                return str(status) in (await health(server))["trouble"]

            await until(trouble)
            await until(lambda: "a1" in transmitter.acked)
            assert "" == (await health(server))["trouble"]


@pytest.mark.parametrize("body", [{"error": "slow down"}, {"sets": ["x"]}])
async def test_an_answer_without_sets_is_trouble(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    """Status 200 over an error is no proof that the queue is empty."""
    async with transmitting() as transmitter:
        settings = polled(transmitter, poll_seconds=0.02)
        async with running(tmp_path, **settings) as server:
            transmitter.instead = body

            async def trouble() -> bool:
                return "sets" in (await health(server))["trouble"]

            await until(trouble)
            transmitter.put("a1")
            transmitter.instead = None
            await until(lambda: "a1" in transmitter.acked)


async def test_a_transmitter_that_never_waits_is_not_asked_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With poll_seconds the answer is wanted at once, and the pause is ours."""
    monkeypatch.setattr(poll, "PAUSE", 30.0)
    async with transmitting() as transmitter:
        settings = polled(transmitter, poll_seconds=30.0)
        async with running(tmp_path, **settings) as server:
            polls = ("POST", "/poll/s1")
            await until(lambda: polls in transmitter.calls)
            await server.get("/v1/ssf")
            assert 1 == transmitter.calls.count(polls)
    (asked,) = transmitter.bodies
    assert {"maxEvents": 100, "returnImmediately": True} == asked


@pytest.mark.parametrize("missing", ["endpoint", "authority", "token_env"])
async def test_polling_needs_its_settings(tmp_path: Path, missing: str) -> None:
    """The server says so before it serves."""
    async with transmitting() as transmitter:
        settings = polled(transmitter)
    settings["ssf"]["idp"][missing] = ""
    with pytest.raises(ConfigurationError, match="ssf idp"):
        await serve(Settings(**values(tmp_path, **settings)))
