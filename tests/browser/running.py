"""A server of either engine with its console, and what stands beside it."""

from __future__ import annotations

import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
from aiohttp import web
from attrs import Factory, evolve, frozen

from streams.apps.builders.console import ServerReach, console
from streams.console.pages.catalogue import KINDS
from streams.process.aside import here
from streams.settings.server import Settings
from tests.browser.neighbours import Door, Issuer, beside, guarding, listening
from tests.browser.servers import Served, embedded, fleet
from tests.browser.world import Api, settings
from tests.integration.kafka_cluster import settings_of
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.browser.neighbours import Loop

GUARDS: Final = {
    "orders": "fail_closed", "billing": "fail_closed", "reports": "fail_open",
    "trial": "observe",
}  # fmt: skip


@frozen
class World:
    """A server with its console, and all that stands beside.

    Attributes:
        console: URL of the console of the server itself, or of its own role on Kafka.
        names: for each page about one thing, by the first part of its path, one that
            there is.
    """

    engine: str
    served: Served
    loop: Loop
    issuer: Issuer
    session: aiohttp.ClientSession
    names: dict[str, str] = Factory(dict)

    @property
    def console(self) -> str:
        """URL of the console."""
        return self.served.console

    def get(self, path: str, who: str = "admin") -> Any:
        """Ask the API."""
        return self.loop.run(Api(self.served.api, self.session).get(path, who))

    def post(self, path: str, body: Any, who: str = "admin") -> Any:
        """Order by the API."""
        return self.loop.run(Api(self.served.api, self.session).post(path, body, who))


@contextmanager
def world(
    folder: Path,
    engine: str = "embedded",
    tell: Any = None,
    cluster: Callable[[], Any] | None = None,
) -> Iterator[World]:
    """Run a server of an engine, with guards and an issuer, and tell it something."""
    with beside() as loop, ExitStack() as servers:
        issuer = Issuer()
        issuer.url = loop.hold(lambda: listening(issuer.app))
        given = settings(issuer.url)
        if engine == "kafka":
            assert cluster is not None
            kafka = settings_of(cluster())
            loop.run(lay_out(kafka))
            running = fleet(folder, given, kafka)
        else:
            running = embedded(folder, given)
        served = servers.enter_context(running)
        made = World(engine, served, loop, issuer, loop.hold(aiohttp.ClientSession))
        try:
            if tell is not None:
                for name, mode in GUARDS.items():
                    loop.hold(partial(guarding, served.feed, name, mode))
                names = loop.run(tell(Api(served.api, made.session)))
                made = evolve(made, names=names)
            yield made
        finally:
            loop.close()


def door(of: World) -> tuple[Door, str]:
    """Put a door in front of a world's API; give it, and a console that uses it."""
    made = Door(of.served.api)
    made.url = of.loop.hold(lambda: listening(made.app))
    return made, of.loop.hold(lambda: consoled(made.url))


@asynccontextmanager
async def consoled(url: str) -> AsyncIterator[str]:
    """Run a console of the API at a URL until the context ends; give its own."""
    reach, app = ServerReach(url), web.Application()
    console(Settings(), reach, here, time.time_ns).add_to(app)
    async with listening(app) as own:
        yield own
    await reach.close()


def addresses(of: World) -> dict[str, str]:
    """Give the address of one page of each kind, by the path of the kind."""
    found = {}
    for kind in KINDS:
        path = kind.path.rstrip("/")
        if "{" in path and of.names:
            name = quote(of.names[path.split("/")[1]], safe="")
            path = path.replace("{name}", name)
        found[kind.path] = f"/console{path}"
    return found
