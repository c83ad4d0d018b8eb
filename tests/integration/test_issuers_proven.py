"""What is told of ends at issuers: of all that an order named, and never unlooked."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attrs import define, field

from enforcement import Guard
from streams.model.times import DAY, rfc3339
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.fake_vendors import serving
from tests.integration.forked_program import run_to_end
from tests.integration.serving import Server, running, until
from tests.issuers.receiver import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Command = Callable[..., "tuple[int, dict[str, Any]]"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

GOOD, STUCK = "aws.access_key:good", "aws.access_key:stuck"
ELSEWHERE = "github.token:g"  # no actuator speaks of it
OWNER = "person.id:zoe"


@define
class Gateway:
    """A receiver that ends all keys but those that are stuck."""

    dead: set[str] = field(factory=set)

    async def end(self, request: web.Request) -> web.Response:
        """End a key."""
        name = (await request.json())["data"]["identifier"]
        self.dead |= {name} - {STUCK}
        return web.Response(status=202)

    async def look(self, request: web.Request) -> web.Response:
        """Say how it is."""
        name = (await request.json())["data"]["identifier"]
        state = "dead" if name in self.dead else "alive"
        answer = {"id": request.headers["webhook-id"], "identifier": name}
        return web.json_response(answer | {"state": state})


@asynccontextmanager
async def ending(folder: Path) -> AsyncIterator[tuple[Server, Gateway]]:
    """Run a server that ends keys at a gateway."""
    gateway = Gateway()
    async with serving(
        ("POST", "/end", gateway.end), ("POST", "/state", gateway.look)
    ) as url:
        keys = {
            "vendor": "webhook", "authority": "aws", "url": f"{url}/end",
            "probe_url": f"{url}/state", "secret": {"value": KEY},
            "kinds": {"aws.access_key": {"suspends": True, "settles": 0.01}},
            "allow_http": True, "allow_private": True, "mode": "automatic",
        }  # fmt: skip
        async with running(folder, actuators={"keys": keys}) as server:
            entries = [
                {"identifier": GOOD, "owners": [OWNER]},
                {"identifier": STUCK},
                {"identifier": ELSEWHERE},
            ]
            declared = {"credentials": entries}
            answered = await server.post("/v1/adopt", "restorer", declared)
            assert 201 == answered[0], answered
            yield server, gateway


async def command(server: Server, folder: Path, *line: str) -> tuple[int, Any]:
    """Run a command; give its exit code and its answer."""
    done = await asyncio.to_thread(
        run_to_end, *line, "--output", "json", "--url", server.url, cwd=folder,
        env=environment(folder, RESCIND_TOKEN="revoker"), timeout=DEADLINE,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


async def settled(server: Server, cause: str) -> dict[str, Any]:
    """Wait until nothing is open any more at issuers."""

    async def of_cause() -> Any:
        _, found = await server.get(f"/v1/revocations/{cause}/issuers")
        return None if found["state"] == "pending" else found

    found: dict[str, Any] = await until(of_cause)
    return found


async def test_an_order_is_proven_for_all_that_it_names(tmp_path: Path) -> None:
    """One that is ended does not speak for one that is not, wherever it stands."""
    async with ending(tmp_path) as (server, gateway):
        line = "revoke", "--reason", "leaked", "--wait", "1", "--at-issuers"
        code, told = await command(server, tmp_path, *line, STUCK, GOOD)

        assert GOOD in gateway.dead
        assert 1 == code
        assert told["issuers"]["state"] != "ended"
        assert {STUCK} == {each["identifier"] for each in told["issuers"]["not_ended"]}
        assert 2 == len(told["ids"])
        _, found = await server.post(
            "/v1/revocations/issuers", "viewer", {"ids": told["ids"]}
        )
        assert 1 == found["ended"]


async def test_no_issuer_is_said_to_have_ended_what_nobody_looked_for(
    tmp_path: Path,
) -> None:
    """It is no failure either: closure of guards stands."""
    async with ending(tmp_path) as (server, _), Guard(server.url, "guard", name="g"):
        line = "revoke", "--reason", "leaked", "--wait", "5", "--at-issuers"
        code, told = await command(server, tmp_path, *line, ELSEWHERE)
        alone = await command(server, tmp_path, "closure", told["id"], "--wait", "5")
        mixed, of_two = await command(server, tmp_path, *line, GOOD, ELSEWHERE)

    assert (1, "none", 1) == (
        code, told["issuers"]["state"], told["issuers"]["nothing"],
    )  # fmt: skip
    assert (0, "none") == (alone[0], alone[1]["issuers"]["state"])
    assert (1, "partial") == (mixed, of_two["issuers"]["state"])
    assert (1, 1) == (of_two["issuers"]["ended"], of_two["issuers"]["nothing"])


async def test_what_an_owner_has_is_ended_at_its_issuer(tmp_path: Path) -> None:
    """As what carries a label is."""
    async with ending(tmp_path) as (server, gateway):
        order = {"where": f"owner={OWNER},kind=aws.access_key", "reason": "leaves"}
        status, answer = await server.post("/v1/suspensions", "revoker", order)
        assert 201 == status, answer
        found = await settled(server, answer["id"])

    assert {GOOD} == gateway.dead
    assert ("ended", 1) == (found["state"], found["ended"])


async def test_who_waits_for_a_revocation_of_long_ago_is_answered(
    tmp_path: Path,
) -> None:
    """It counts from when it was ordered that somebody waits."""
    async with ending(tmp_path) as (server, _):
        at = rfc3339(time.time_ns() - 7 * DAY)
        order = {"identifier": ELSEWHERE, "reason": "leaked", "at": at}
        _, answer = await server.post("/v1/revocations", "revoker", order)
        assert "none" == (await settled(server, answer["id"]))["state"]


async def test_what_was_taken_back_is_not_said_to_be_ended(tmp_path: Path) -> None:
    """Its end had failed, and the key lives on."""
    async with ending(tmp_path) as (server, _):
        order = {"identifier": STUCK, "reason": "leaked"}
        _, answer = await server.post("/v1/revocations", "revoker", order)
        path = f"/v1/revocations/{answer['id']}/issuers"

        async def is_found() -> bool:
            return bool((await server.get(path))[1]["not_ended"])

        await until(is_found)
        back = {"identifier": STUCK, "fact": answer["id"], "reason": "mistaken"}
        assert 201 == (await server.post("/v1/withdrawals", "restorer", back))[0]

        async def is_none() -> bool:
            found = (await server.get(path))[1]
            return not found["not_ended"] and found["state"] == "none"

        await until(is_none)


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": "x"}, {"ids": [1]}, {"ids": ["x"]},
     {"ids": ["0" * 64], "of": 1}],
)  # fmt: skip
async def test_what_is_no_list_of_revocations_is_refused(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    """With how to ask."""
    async with running(tmp_path) as server:
        status, answer = await server.post("/v1/revocations/issuers", "viewer", body)
        assert 422 == status, answer


async def test_a_confirmation_of_no_text_is_refused(tmp_path: Path) -> None:
    """With what an identifier is."""
    async with ending(tmp_path) as (server, _):
        body = {"identifier": 5, "reason": "seen"}
        path = "/v1/actuators/keys/confirmations"
        status, answer = await server.post(path, "restorer", body)
    assert 422 == status
    assert "kind:value" in answer["detail"]
