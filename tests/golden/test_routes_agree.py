"""Whatever route the embedded server has, a fleet on Kafka answers it alike.

The routes come from the server's own router, so that none can be forgotten.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import structlog
from attrs import Factory, define
from typer.testing import CliRunner

from streams.cli.main import app
from streams.http.peer_routes import ROUTES as TABLE
from tests.golden.route_cases import (
    COMMANDS,
    OF_INSIGHTS,
    OF_RELAYS,
    ORDERS,
    PENDING,
    QUESTIONS,
    RULES,
    Ask,
    without,
)
from tests.integration.fleet import FleetPorts, fleet, url_of
from tests.integration.serving import (
    DEADLINE,
    listening,
    receiving,
    running,
    until,
    webhook,
)
from tests.integration.test_kafka_pipeline import EVENTS
from tests.integration.test_route_roles import ROUTES
from tests.integration.test_status_lists import settings as lists_of
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.golden, pytest.mark.timeout(240)]

# Ids, times, tokens of the log, and columns that are as wide as these.
_VOLATILE = re.compile(
    r"[0-9a-f]{32,}(?::\d+:\d+)?|\d{4}-\d\d-\d\dT[\d:.]+Z|[\d.]+ s\b| +|-{2,}"
)
ASKED = {each.route for each in (*QUESTIONS, *ORDERS)}
STAGES = (frozenset({"registry", "closure", "audit"}), frozenset({"sentinel"}))


@define
class Engine:
    """An engine behind one URL, and what it answered before."""

    url: str
    session: aiohttp.ClientSession
    kept: dict[str, Any] = Factory(dict)

    async def ask(self, ask: Ask, url: str = "") -> tuple[int, Any]:
        """Ask at the one URL, or at another process."""
        path = ask.path
        if ask.fill is not None:
            name, made = ask.fill
            path = path.replace("ID", made(self.kept[name]))
        headers = {"Authorization": f"Bearer {ask.token}"}
        async with self.session.request(
            ask.method, (url or self.url) + path, headers=headers, json=ask.json,
        ) as got:  # fmt: skip
            signed = got.content_type == "application/statuslist+jwt"
            answer = got.content_type if signed else await got.json(content_type=None)
        if ask.keep:
            self.kept[ask.keep] = answer
        return got.status, without(answer, ask.differs)


def routes_of(app: web.Application) -> set[str]:
    """Give the routes of the API, SCIM's and probes apart."""
    return {
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and route.resource.canonical.startswith(("/v1/", "/statuslists/"))
    }


def test_every_route_has_a_process_that_answers_it() -> None:
    """The list of routes and roles is held against the server's router elsewhere."""
    table = {f"{each.method} {each.canonical}" for each in TABLE}
    lists = {route for route in ASKED if "/status" in route}
    wanted = {route for route in ROUTES if " /v1/" in route} | lists
    assert wanted == table
    assert wanted == ASKED | PENDING | OF_RELAYS | OF_INSIGHTS


@pytest.mark.long
async def test_a_fleet_answers_every_route_as_the_embedded_server_does(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same events in, same answers out; questions at every process of the fleet."""
    apps = listening(monkeypatch)
    # What a command prints is taken for the time in which it runs.
    nothing = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=nothing)
    await lay_out(kafka_settings)
    ports = FleetPorts.free(2)
    places = [url_of(port) for port in (*ports.workers, ports.notify)]
    pepper = {"value": base64.b64encode(b"0123456789abcdef").decode()}
    more: dict[str, Any] = {
        "approvals": {"acts": ["owners"]}, "peppers": {"p1": pepper}
    }  # fmt: skip
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        more["webhook"] = webhook(receiver)
        more |= lists_of(tmp_path)
        async with (
            running(tmp_path / "embedded", **more) as server,
            fleet(
                tmp_path, kafka_settings, ports, notify=True, stages=STAGES, **more
            ) as run,
        ):
            one, other = Engine(server.url, session), Engine(run.url, session)
            here = ASKED | PENDING | OF_RELAYS | OF_INSIGHTS
            assert routes_of(apps[0]) == here

            body = json.dumps({"Records": EVENTS}).encode()
            for url in (server.url, run.url):
                headers = {"Authorization": "Bearer aws"}
                path = url + "/v1/events/cloudtrail"
                async with session.post(path, data=body, headers=headers) as got:
                    assert 202 == got.status
            wrong = [
                told
                for ask in (*QUESTIONS, *ORDERS)
                for told in await differences(ask, one, other, places)
            ]
            assert not wrong, "\n".join(wrong)
            for command in COMMANDS:
                first, second = [
                    await run_command(each, command) for each in (one, other)
                ]
                usage = first[0] > 1 and "no*such*guard" not in first[1]
                assert not usage, (command, first)
                wrong += [] if first == second else [f"{first} is not {second}"]
            assert not wrong, "\n".join(wrong)
            order = next(each for each in ORDERS if each.keep == "lost")
            for place in places:
                assert order.status == (await other.ask(order, place))[0]
            for name in sorted(PENDING | OF_RELAYS | OF_INSIGHTS):
                await check_pending(name, other)


async def differences(
    ask: Ask, one: Engine, other: Engine, places: list[str]
) -> list[str]:
    """Ask both; questions until all agree, since one may be a moment behind."""
    answers: list[Any] = []
    everywhere = ["", *places] if ask.repeatable else [""]

    async def agree() -> bool:
        answers[:] = [
            await one.ask(ask), *[await other.ask(ask, url) for url in everywhere]
        ]  # fmt: skip
        wanted = answers[0][0] == ask.status
        return wanted and all(each == answers[0] for each in answers)

    if ask.repeatable:
        with suppress(TimeoutError):
            await until(agree, DEADLINE / 6)
    else:
        await agree()
    first, *others = answers
    told = [f"{ask.path}: {first} is not {each}" for each in others if each != first]
    return told or ([] if first[0] == ask.status else [f"{ask.path}: {first}"])


async def run_command(engine: Engine, command: tuple[str, ...]) -> tuple[int, str]:
    """Give exit code and output of a command, without ids and times."""
    token, *line = command
    env = {"RESCIND_URL": engine.url, "RESCIND_TOKEN": token, **RULES}
    got = await asyncio.to_thread(CliRunner().invoke, app, line, env=env)
    return got.exit_code, _VOLATILE.sub("*", got.output)


async def check_pending(name: str, other: Engine) -> None:
    """See that a route says why it is not answered; one that is is listed no more."""
    method, path = name.split()
    headers = {"Authorization": "Bearer viewer"}
    async with other.session.request(method, other.url + path, headers=headers) as got:
        assert (501, "application/problem+json") == (got.status, got.content_type), name
        assert (await got.json())["detail"]
