"""A system of somebody's own answers later what it is asked, by a signed request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import pytest
from aiohttp import web

from streams.outbound.standard_webhooks import headers
from tests.integration.fake_vendors import serving
from tests.integration.serving import running, until
from tests.issuers.receiver import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

SECRET: Final = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TOKEN: Final = "vault.accessor:t"


class Slow:
    """It takes what it is told and asked, and answers nothing at once."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.told = 0

    async def end(self, _: web.Request) -> web.Response:
        """Take an act."""
        self.told += 1
        return web.Response(status=202)

    async def look(self, request: web.Request) -> web.Response:
        """Take a question."""
        self.questions.append(request.headers["webhook-id"])
        return web.Response(status=202)


async def answer(run: Server, secret: str, **told: Any) -> int:
    """Post an answer; give the status."""
    body = orjson.dumps({"identifier": TOKEN, **told})
    sent = headers((secret,), "msg_1", time.time_ns(), body)
    url = f"{run.url}/v1/actuators/acme/callbacks"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=sent) as found,
    ):
        return found.status


async def test_what_is_answered_later_ends_by_its_answers(tmp_path: Path) -> None:
    """Each question is answered once, by whoever has the secret."""
    slow = Slow()
    routes = (("POST", "/end", slow.end), ("POST", "/state", slow.look))
    async with serving(*routes) as url:
        acme = {
            "vendor": "webhook", "authority": "vault", "mode": "automatic",
            "url": f"{url}/end", "probe_url": f"{url}/state", "allow_http": True,
            "allow_private": True, "secret": {"value": KEY},
            "callback": {"secret": {"value": SECRET}},
            "kinds": {"vault.accessor": {}},
        }  # fmt: skip
        async with running(tmp_path, actuators={"acme": acme}) as run:
            body = {"credentials": [{"identifier": TOKEN}]}
            assert (await run.post("/v1/adopt", "restorer", body))[0] == 201
            given = {"identifier": TOKEN, "reason": "leaked"}
            status, order = await run.post("/v1/revocations", "revoker", given)
            assert status == 201, order
            await until(lambda: slow.questions)
            (first,) = slow.questions

            assert await answer(run, KEY, id=first, state="dead") == 401
            assert await answer(run, SECRET, id="ask_other", state="dead") == 404
            assert await answer(run, SECRET, state="dead") == 422

            async def taken() -> bool:
                # The question is noted once the receiver has taken it.
                return await answer(run, SECRET, id=first, state="alive") == 200

            await until(taken)
            assert await answer(run, SECRET, id=first, state="dead") in (404, 409)

            await until(lambda: len(slow.questions) > 1)
            assert slow.told == 1

            async def taken_too() -> bool:
                told = {"id": slow.questions[1], "state": "dead"}
                return await answer(run, SECRET, **told) == 200

            await until(taken_too)

            async def ended() -> bool:
                path = f"/v1/revocations/{order['id']}/issuers"
                _, found = await run.get(path)
                return bool(found["state"] == "ended")

            await until(ended)
            assert len(slow.questions) == 2
