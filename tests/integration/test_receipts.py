"""What a server takes for a receipt, and what it answers; spoken by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from enforcement import Guard, Mode
from enforcement.receipts import Receipts, Terms, signer, weakest
from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.sources import configured_guard_keys
from streams.settings.server import Settings
from tests.integration.serving import Server, running, until
from tests.integration.test_closure import guards, look, reached, revoke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TERMS = Terms(10**10, Mode.FAIL_OPEN, {"GET /orders": Mode.OBSERVE})


@asynccontextmanager
async def feed(server: Server, hello: dict[str, Any]) -> AsyncIterator[Wire]:
    """Open a feed and say hello."""
    headers = {"Authorization": "Bearer guard"}
    async with server.session.ws_connect(
        f"{server.url}/v1/feed", headers=headers
    ) as socket:
        await socket.send_json({"type": "hello", **hello})
        yield Wire(socket)


class Wire:
    """One end of a feed."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        """Speak over a socket."""
        self.socket = socket
        self.reason = ""
        self.remaining: int | None = None  # of the last pong

    async def hear(self) -> str:
        """Give the type of the next message, or with which code the feed ended."""
        frame = await self.socket.receive(timeout=50)
        if frame.type is WSMsgType.TEXT:
            message = frame.json()
            self.remaining = message.get("remaining_ms", self.remaining)
            return str(message["type"])
        self.reason = str(frame.extra)
        return str(self.socket.close_code or 0)

    async def send(self, kind: str, receipt: Any) -> None:
        """Send a receipt, and be sure that it was read."""
        await self.socket.send_json({"type": kind, "receipt": receipt})
        await self.socket.send_json({"type": "ping", "seq": 1})
        while (heard := await self.hear()) != "pong":
            assert not heard.isdigit(), f"the feed ended with {heard}"


def key_files(folder: Path, name: str = "guard") -> tuple[bytes, Path]:
    """Make a key; give it in PEM, and the file with its public part."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    file = folder / f"{name}.pem"
    file.write_bytes(public)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, file


async def test_a_registration_is_answered_before_anything_else(tmp_path: Path) -> None:
    """When the first pong leaves, the guard is a member and on disk."""
    receipts = Receipts("g", "i1", TERMS)
    async with (
        running(tmp_path) as server,
        feed(server, {"guard": "g", "receipt": receipts.registered()}) as wire,
    ):
        await wire.socket.send_json({"type": "ping", "seq": 1})

        assert await wire.hear() == "registered"

        store = server.served.stages.store
        rows = await store.read("SELECT name FROM guards")
        assert rows == [("g",)]
        seen = (await guards(server))["g"]
        assert ("fail_open", 10_000, ["GET /orders"]) == tuple(
            seen[name] for name in ("mode", "lease_ms", "routes")
        )


async def test_who_fails_open_has_a_lease_once_its_first_receipt_is_on_disk(
    tmp_path: Path,
) -> None:
    """Else a server that forgets the receipt in a crash would count it as fenced."""
    receipts = Receipts("g", "i1", TERMS)
    async with (
        running(tmp_path) as server,
        feed(server, {"guard": "g", "receipt": receipts.registered()}) as wire,
    ):
        genesis = server.served.genesis
        store = server.served.stages.store

        async def lease() -> int | None:
            await wire.send("receipt", receipts.applied(genesis, 0))
            return wire.remaining

        await wire.socket.send_json({"type": "ping", "seq": 1})
        while await wire.hear() != "pong":
            pass
        assert wire.remaining == 0
        await until(lease)
        ((body,),) = await store.read("SELECT body FROM guards")
        assert orjson.loads(body)["proven"]


async def test_an_old_guard_is_fed_and_nothing_is_known_of_it(tmp_path: Path) -> None:
    """Without a receipt in its hello, what it calls one later counts for nothing."""
    receipts = Receipts("old", "i1", TERMS)
    async with (
        running(tmp_path) as server,
        feed(server, {"guard": "old"}) as wire,
    ):
        assert await wire.hear() == "snapshot"
        await wire.send("receipt", receipts.applied("any", 100))
        assert (await guards(server))["old"]["standing"] == "unknown"

        unknown = await reached(server, await revoke(server, "one"), "unknown")

        assert unknown["unknown"] == ["old"]


async def test_receipts_of_another_log_or_process_do_not_count(tmp_path: Path) -> None:
    """Nor those that come twice, or speak of what is not written yet."""
    receipts, other = Receipts("g", "i1", TERMS), Receipts("g", "i2", TERMS)
    other._sequence = 1000  # so that this alone refuses none
    async with (
        running(tmp_path) as server,
        feed(server, {"guard": "g", "receipt": receipts.registered()}) as wire,
    ):
        assert await wire.hear() == "registered"
        genesis = server.served.genesis
        revocation = await revoke(server, "one")
        old = receipts.applied(genesis, 0)
        await wire.send("receipt", old)
        for wrong in (
            receipts.applied("another", 1),
            receipts.applied(genesis, 2),
            other.applied(genesis, 1),
            old,
            {"guard": "g", "status": "applied"},
            "no.jws.here",
            None,
        ):
            await wire.send("receipt", wrong)
        await wire.send("goodbye", other.goodbye())
        assert (await look(server, revocation))["laggards"] == ["g"]

        await wire.send("receipt", receipts.applied(genesis, 1))

        assert (await reached(server, revocation, "closed"))["applied"] == 1


async def test_a_second_process_of_a_name_is_refused(tmp_path: Path) -> None:
    """Else what one has applied would speak for the other."""
    name = "ö" * 128  # as long as any; the reason is cut
    one, two = Receipts(name, "i1", TERMS), Receipts(name, "i2", TERMS)
    async with running(tmp_path) as server:
        async with feed(server, {"guard": name, "receipt": one.registered()}) as wire:
            assert await wire.hear() == "registered"
            hello = {"guard": name, "receipt": two.registered()}
            async with feed(server, hello) as second:
                assert await second.hear() == "1008"
                assert second.reason.startswith("another ???")
            hello = {"guard": name, "receipt": one.registered()}
            async with feed(server, hello) as third:  # its successor's connection
                assert await third.hear() == "registered"

        async def let_in() -> bool:
            hello = {"guard": name, "receipt": two.registered()}
            async with feed(server, hello) as second:
                return await second.hear() == "registered"

        assert await until(let_in)


async def test_receipts_of_a_listed_guard_must_be_signed(tmp_path: Path) -> None:
    """Its own are counted; others change nothing and are counted as refused."""
    pem, public = key_files(tmp_path)
    stranger, _ = key_files(tmp_path, "stranger")
    signed = Receipts("g", "i1", TERMS, signer(pem))
    forged = Receipts("g", "i1", TERMS, signer(stranger))
    plain = Receipts("g", "i1", TERMS)
    async with running(tmp_path, guard_keys={"g": str(public)}) as server:
        for wrong in (plain, forged):
            hello = {"guard": "g", "receipt": wrong.registered()}
            async with feed(server, hello) as wire:
                assert await wire.hear() == "1008"
        hello = {"guard": "g", "receipt": signed.registered()}
        async with feed(server, hello) as wire:
            assert await wire.hear() == "registered"
            revocation = await revoke(server, "one")
            genesis = server.served.genesis
            for wrong in (plain, forged):
                wrong.registered()
                await wire.send("receipt", wrong.applied(genesis, 1))
                await wire.send("goodbye", wrong.goodbye())
            assert (await look(server, revocation))["applied"] == 0

            await wire.send("receipt", signed.applied(genesis, 1))

            assert (await reached(server, revocation, "closed"))["applied"] == 1

        async def counted() -> str:
            async with server.session.get(f"{server.url}/metrics") as response:
                text = await response.text()
            # Who asks is told a moment before it is counted.
            return text if 'rescind_closures_total{state="closed"} 1.0' in text else ""

        metrics = str(await until(counted))
        assert 'rescind_receipts_refused_total{reason="unsigned"} 3.0' in metrics
        assert 'rescind_receipts_refused_total{reason="wrongly_signed"} 3.0' in metrics
        assert "rescind_propagation_seconds_count 1.0" in metrics
        assert 'lease="held",mode="fail_open"} 1.0' in metrics


async def test_a_guard_with_a_key_signs_all_that_it_says(tmp_path: Path) -> None:
    """From its registration to its goodbye."""
    pem, public = key_files(tmp_path)
    async with running(tmp_path, guard_keys={"g": str(public)}) as server:
        async with Guard(server.url, "guard", name="g", signing_key=pem) as guard:
            assert await guard.ready(50)
            await reached(server, await revoke(server, "one"), "closed")

        async def gone() -> bool:
            return not await guards(server)

        await until(gone)
        assert not server.served.feed._receipts.refused


GOOD = {
    "guard": "g", "instance": "i", "sequence": 1, "status": "registered",
    "lease_ms": 1000, "mode": "fail_closed",
}  # fmt: skip
WRONG: list[Any] = [
    None,
    7,
    "a.b.c",
    GOOD | {"guard": "h"},
    GOOD | {"status": "applied"},
    GOOD | {"sequence": -1},
    GOOD | {"sequence": True},
    GOOD | {"instance": ""},
    GOOD | {"instance": "i" * 129},
    GOOD | {"lease_ms": 0},
    GOOD | {"lease_ms": 1e3},
    GOOD | {"lease_ms": 10**12},
    GOOD | {"mode": "sometimes"},
    GOOD | {"mode": ["fail_open"]},
    GOOD | {"routes": "all"},
    GOOD | {"routes": [1]},
    GOOD | {"routes": [""] * 1001},
    GOOD | {"live_sessions": 1},
]


async def test_a_registration_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """Nobody becomes a member by it, and the server goes on."""
    async with running(tmp_path) as server:
        for wrong in WRONG:
            async with feed(server, {"guard": "g", "receipt": wrong}) as wire:
                assert await wire.hear() == "1008", wrong
        for name in ("", "g" * 129, "a\nb", 7, None):
            hello = {"guard": name, "receipt": GOOD | {"guard": name}}
            async with feed(server, hello) as wire:
                assert await wire.hear() == "1008", name
        assert not await guards(server)
        async with feed(server, {"guard": "g", "receipt": GOOD}) as wire:
            assert await wire.hear() == "registered"


async def test_only_roles_that_may_see_and_remove_guards_do(tmp_path: Path) -> None:
    """A guard's token does neither."""
    async with running(tmp_path) as server:
        for path in ("/v1/guards", "/v1/revocations/any"):
            assert (await server.get(path, "guard"))[0] == 403
            assert (await server.get(path, "nobody"))[0] == 401
        assert (await server.get("/v1/revocations/any"))[0] == 404
        for token, status in (("guard", 403), ("revoker", 403), ("restorer", 404)):
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{server.url}/v1/guards/any"
            async with server.session.delete(url, headers=headers) as response:
                assert response.status == status


def test_a_key_that_signs_no_receipts_is_an_error(tmp_path: Path) -> None:
    """At the guard and at the server, with what to do."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(ValueError, match="Ed25519"):
        signer(private)
    for content, why in ((public, "no Ed25519 public key"), (b"?", "guard g")):
        file = tmp_path / "key.pem"
        file.write_bytes(content)
        settings = Settings(guard_keys={"g": file})
        with pytest.raises(ConfigurationError, match=why):
            configured_guard_keys(settings)


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        ([Mode.FAIL_CLOSED, Mode.OBSERVE], Mode.FAIL_CLOSED),
        ([Mode.OBSERVE, Mode.FAIL_CLOSED], Mode.FAIL_CLOSED),
        ([Mode.FAIL_CLOSED, Mode.FAIL_OPEN], Mode.FAIL_OPEN),
        ([Mode.OBSERVE, Mode.FAIL_OPEN], Mode.FAIL_OPEN),
        ([Mode.OBSERVE], Mode.OBSERVE),
    ],
)
def test_a_guard_says_the_mode_that_denies_least_without_a_lease(
    modes: list[Mode], said: Mode
) -> None:
    """Fenced has to mean that it denies, on every route that enforces."""
    assert weakest(modes) is said
