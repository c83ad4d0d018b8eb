"""One guard's credential takes no other guard's place; spoken by hand."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from enforcement import Guard
from enforcement.receipts import Receipts, Terms
from enforcement.verdict import Mode
from tests.integration.serving import Server, running, until, values
from tests.integration.test_closure import guards, look, reached, revoke
from tests.integration.test_receipts import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SECOND = 10**9
DAY = 86_400 * SECOND
TERMS = Terms(SECOND, Mode.FAIL_CLOSED, {})


def fleet(folder: Path, **named: list[str]) -> list[dict[str, Any]]:
    """Give the tokens of tests, and one for each guard with patterns of names."""
    mine = [
        {
            "name": name, "roles": ["guard"],
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
        } | ({"guards": patterns} if patterns else {})
        for name, patterns in named.items()
    ]  # fmt: skip
    return [*values(folder)["tokens"], *mine]


@asynccontextmanager
async def said(
    server: Server, token: str, name: str | None, terms: Terms | None = TERMS
) -> AsyncIterator[tuple[Wire, Receipts]]:
    """Open a feed with a token, as a guard of some name."""
    receipts = Receipts(name or token, f"of {token}", terms or TERMS)
    hello: dict[str, Any] = {"type": "hello"}
    hello |= {} if name is None else {"guard": name}
    hello |= {} if terms is None else {"receipt": receipts.registered()}
    headers = {"Authorization": f"Bearer {token}"}
    async with server.session.ws_connect(
        f"{server.url}/v1/feed", headers=headers
    ) as socket:
        await socket.send_json(hello)
        yield Wire(socket), receipts


async def refused(server: Server, token: str, name: str) -> str:
    """Give why a credential is refused as a guard, whether it reports or not."""
    reasons = set()
    for terms in (TERMS, None):
        async with said(server, token, name, terms) as (wire, _):
            assert await wire.hear() == "1008", (token, name)
            reasons.add(wire.reason)
    (reason,) = reasons
    return reason


async def taken(server: Server, token: str, name: str) -> None:
    """Register a guard, and let it go."""
    async with said(server, token, name) as (wire, receipts):
        assert await wire.hear() == "registered", wire.reason
        await goodbye(server, wire, receipts, name)


async def goodbye(server: Server, wire: Wire, receipts: Receipts, name: str) -> None:
    """Take leave; the server ends the connection then."""
    await wire.socket.send_json({"type": "goodbye", "receipt": receipts.goodbye()})

    async def gone() -> bool:
        return name not in await guards(server)

    await until(gone)


async def remove(server: Server, name: str) -> int:
    """Let a guard go as an operator; give the status."""
    headers = {"Authorization": "Bearer restorer"}
    url = f"{server.url}/v1/guards/{name}"
    async with server.session.delete(url, headers=headers) as got:
        return got.status


async def test_no_other_credential_stands_in_for_a_guard(tmp_path: Path) -> None:
    """Not while it is connected, nor when it is away; also after a restart."""
    tokens = fleet(tmp_path, one=[], two=[])
    async with running(tmp_path, tokens=tokens) as server:
        async with said(server, "one", "pay") as (wire, receipts):
            assert await wire.hear() == "registered"
            reason = await refused(server, "two", "pay")
            assert "rescind guards --remove" in reason
            revocation = await revoke(server, "x")
            assert (await look(server, revocation))["laggards"] == ["pay"]
            applied = receipts.applied(server.served.genesis, 1)
            await wire.send("receipt", applied)  # it was not kept out
            assert (await reached(server, revocation, "closed"))["applied"] == 1
            assert (await guards(server))["pay"]["credential"] == "one"
            await goodbye(server, wire, receipts, "pay")
        await refused(server, "two", "pay")

        async def found() -> list[dict[str, Any]]:
            return [
                each for each in await server.findings()
                if each["kind"] == "unauthorised"
            ]  # fmt: skip

        (finding,) = await until(found)
        assert finding["presented"] == "guard:pay"
        assert "two was refused" in finding["message"]
        assert finding["owner"] == "one"
    async with running(tmp_path, tokens=tokens) as server:
        await refused(server, "two", "pay")
        await taken(server, "one", "pay")


async def test_the_guard_is_told_why(tmp_path: Path) -> None:
    """With what to do."""
    async with running(tmp_path, tokens=fleet(tmp_path, one=[], two=[])) as server:
        await taken(server, "one", "pay")
        async with Guard(server.url, "two", name="pay") as guard:
            await until(lambda: "guards --remove" in (guard.feed.last_error or ""))


async def test_an_operator_frees_a_name(tmp_path: Path) -> None:
    """Of a guard that is there, or away; on disk."""
    tokens = fleet(tmp_path, one=[], two=[])
    async with running(tmp_path, tokens=tokens) as server:
        await taken(server, "one", "pay")
        assert await remove(server, "pay") == 200
        assert await remove(server, "pay") == 404
    async with running(tmp_path, tokens=tokens) as server:
        await taken(server, "two", "pay")
        await refused(server, "one", "pay")


async def test_the_settings_give_names_to_credentials(tmp_path: Path) -> None:
    """Several processes of a service share a token; nobody else has its names."""
    tokens = fleet(tmp_path, pay=["pay-*"], edge=["edge-1", "e-*"], free=[])
    async with running(tmp_path, tokens=tokens) as server:
        for token, name in (
            ("free", "pay-1"), ("free", "pay"), ("free", "edge-1"), ("edge", "pay-1"),
            ("pay", "other"), ("pay", "edge"), ("edge", "free"),
        ):  # fmt: skip
            await refused(server, token, name)
        for token, name in (
            ("pay", "pay-1"), ("pay", "pay-2"), ("pay", "pay"), ("edge", "edge-1"),
            ("free", "other"), ("free", "free"),
        ):  # fmt: skip
            await taken(server, token, name)
        async with said(server, "pay", None) as (wire, _):
            assert await wire.hear() == "registered"


async def test_a_short_lease_ends_no_other_process_of_the_name(tmp_path: Path) -> None:
    """The lease that the first one registered counts too."""
    async with (
        running(tmp_path) as server,
        said(server, "guard", "g", Terms(60 * SECOND, Mode.FAIL_CLOSED, {})) as first,
    ):
        assert await first[0].hear() == "registered"
        other = Receipts("g", "another", Terms(10**6, Mode.FAIL_CLOSED, {}))
        headers = {"Authorization": "Bearer guard"}
        async with server.session.ws_connect(
            f"{server.url}/v1/feed", headers=headers
        ) as socket:
            hello = {"type": "hello", "guard": "g", "receipt": other.registered()}
            await socket.send_json(hello)
            assert await Wire(socket).hear() == "1008"


async def test_a_phantom_with_a_lease_of_a_day_has_one_of_the_ceiling(
    tmp_path: Path,
) -> None:
    """It is fenced then, whatever its mode: it never proved anything."""
    async with running(tmp_path, closure={"max_lease": 1.0}) as server:
        for mode in (Mode.FAIL_CLOSED, Mode.FAIL_OPEN):
            terms = Terms(DAY, mode, {})
            async with said(server, "guard", f"p-{mode.value}", terms) as (wire, _):
                assert await wire.hear() == "registered"
        revocation = await revoke(server, "x")
        closed = await reached(server, revocation, "closed")
        assert closed["fenced"] == ["p-fail_closed", "p-fail_open"]
        assert {1000} == {
            each["lease_ms"]
            for each in (await guards(server)).values()
            if each["mode"] == "fail_closed"
        }

        async def gone() -> bool:
            return not await guards(server)

        await until(gone)


async def test_a_guard_that_proved_something_is_waited_for(tmp_path: Path) -> None:
    """One that fails open goes on allowing; the server knows it over a restart."""
    closure = {"max_lease": 1.0, "deadline": 2.5}
    terms = Terms(SECOND, Mode.FAIL_OPEN, {})
    async with running(tmp_path, closure=closure) as server:
        async with said(server, "guard", "open", terms) as (wire, receipts):
            assert await wire.hear() == "registered"
            applied = receipts.applied(server.served.genesis, 0)
            await wire.send("receipt", applied)
        store = server.served.stages.store

        async def known() -> bool:
            ((body,),) = await store.read("SELECT body FROM guards")
            return b'"proven":true' in body

        await until(known)
    async with running(tmp_path, closure=closure) as server:
        late = await reached(server, await revoke(server, "x"), "partial")
        assert (late["fenced"], late["laggards"]) == ([], ["open"])


async def test_a_credential_has_so_many_guards_and_no_more(tmp_path: Path) -> None:
    """Names of processes that are gone make room, and stay nobody else's before."""
    tokens = fleet(tmp_path, one=[], two=[])
    async with running(tmp_path, tokens=tokens, closure={"max_guards": 2}) as server:
        async with (
            said(server, "one", "a") as (first, _),
            said(server, "one", "b") as (second, receipts),
            said(server, "one", "c") as (third, _),
        ):
            assert await first.hear() == await second.hear() == "registered"
            assert await third.hear() == "1008"
            assert "closure.max_guards" in third.reason
            await goodbye(server, second, receipts, "b")
            async with said(server, "one", "c") as (again, _):
                assert await again.hear() == "registered"
        rows = "SELECT name FROM guard_names ORDER BY rowid"
        assert await server.served.stages.store.read(rows) == [("a",), ("c",)]
        await taken(server, "two", "d")


async def test_where_all_must_sign_nobody_registers_without_a_key(
    tmp_path: Path,
) -> None:
    """The settings say so, and the guard is told."""
    async with (
        running(tmp_path, closure={"signed_receipts": True}) as server,
        said(server, "guard", "g") as (wire, _),
    ):
        assert await wire.hear() == "1008"
        assert "guard_keys" in wire.reason
