"""The table of servers and gateways: revoke, and see the last request that passes."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from bench.gateways import contextforge, litellm
from bench.gateways.asked import Asked, Call, Times, measured
from bench.gateways.frameworks import PLAIN, SERVERS, agent, serving
from bench.gateways.model import serving_model
from bench.kafka_broker import REPOSITORY
from bench.realm import started
from bench.report import Row
from tests.integration.gateways import reserved_port, running_gateway, serving_api
from tests.integration.test_pdp_gateways import deciding, fresh
from tests.pdp import sub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

ROUNDS: Final = {"tiny": 1, "small": 3, "full": 5}
PROXIES: Final = {"nginx": "nginx", "Caddy": "caddy", "Envoy": "envoy-grpc"}
CACHED: Final = 90.0  # seconds; longer than the caches hold
ALIAS: Final = "litellm.key_alias"
LITELLM, FORGE = "LiteLLM proxy", "ContextForge"
ALONE: Final = ", its own cache alone"
MAPPING: Final = REPOSITORY / "examples" / "mappings" / "litellm-proxy.yaml"
SOURCES: Final = {"litellm": {"format": "generic", "mapping": str(MAPPING)}}
UNGUARDED: Final = (PLAIN, LITELLM + ALONE, FORGE + ALONE)
NAMES: Final = (
    *SERVERS, *PROXIES, LITELLM, LITELLM + ALONE, FORGE, FORGE + ALONE,
)  # fmt: skip


class Rescind:
    """A client of a server."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """Take both."""
        self.url, self._session = url, session

    async def adopt(self, *identifiers: str) -> None:
        """Declare credentials."""
        declared = [{"identifier": each} for each in identifiers]
        await self._post("/v1/adopt", "restorer", {"credentials": declared})

    async def revoke(self, identifier: str) -> None:
        """Revoke one."""
        await self._post("/v1/revocations", "revoker", {"identifier": identifier})

    async def _post(self, path: str, role: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {role}"}
        async with self._session.post(
            self.url + path, json=body, headers=headers
        ) as got:
            assert got.status == 201, await got.text()


def rows(scale: str, only: Sequence[str] = ()) -> list[Row]:
    """Ask each of them in turn.

    Args:
        scale: says how many credentials are revoked.
        only: names, instead of all.
    """
    return asyncio.run(_rows(ROUNDS[scale], only or NAMES))


async def _rows(rounds: int, names: Sequence[str]) -> list[Row]:
    made = []
    for name in names:
        alone = name in UNGUARDED
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            async with _asked(name, Path(folder), rounds) as asked:
                made.append(
                    _row(
                        name,
                        [
                            await measured(asked, n)
                            for n in range(1 if alone else rounds)
                        ],
                    )
                )
    return made


@asynccontextmanager
async def _asked(name: str, work: Path, rounds: int) -> AsyncIterator[Asked]:
    async with AsyncExitStack() as stack:
        enter: Callable[[AbstractAsyncContextManager[Any]], Any]
        enter = stack.enter_async_context
        url, _ = stack.enter_context(started(work, sources=SOURCES))
        rescind = Rescind(url, await enter(aiohttp.ClientSession()))
        if name in SERVERS:
            await rescind.adopt(*map(agent, range(rounds)))
            yield await enter(serving(name, work, url, rescind.revoke))
        elif name in PROXIES:
            await rescind.adopt(*(str(sub(f"agent{n}")) for n in range(rounds)))
            yield await _proxy(name, work, rescind, enter)
        elif name.startswith(LITELLM):
            await rescind.adopt(*(f"{ALIAS}:key{n}" for n in range(rounds)))
            alone = name.endswith(ALONE)
            yield await _litellm(name, work, rescind, enter, rounds, alone=alone)
        else:
            await rescind.adopt(f"jwt.sub:{contextforge.ISSUER}|{contextforge.ADMIN}")
            port = stack.enter_context(reserved_port())
            yield await _forge(name, work, rescind, enter, port)


async def _proxy(name: str, work: Path, rescind: Rescind, enter: Any) -> Asked:
    gateway = PROXIES[name]
    api = await enter(serving_api())
    point = await enter(deciding(work, rescind.url))
    place = f"http://{point.grpc}" if gateway == "envoy-grpc" else point.url
    url = await enter(running_gateway(gateway, work, URL(place).port or 0, api.port))

    def call(number: int) -> Call:
        headers = {"Authorization": f"Bearer {fresh(f'agent{number}')}"}
        return Call("GET", f"{url}/orders", {"headers": headers})

    return Asked(name, call, lambda n: rescind.revoke(str(sub(f"agent{n}"))))


async def _litellm(
    name: str, work: Path, rescind: Rescind, enter: Any, rounds: int, *, alone: bool
) -> Asked:
    model = await enter(serving_model())
    keys = {f"sk-key{n}": f"key{n}" for n in range(rounds)}
    proxy = await enter(
        litellm.proxy(work, model, keys, None if alone else rescind.url)
    )

    def call(number: int, **more: Any) -> Call:
        headers = {"Authorization": f"Bearer sk-key{number}"}
        more = {"json": litellm.ASKS | more, "headers": headers}
        return Call("POST", f"{proxy.url}/v1/chat/completions", more)

    return Asked(
        name,
        call,
        (lambda n: proxy.delete(f"sk-key{n}"))
        if alone
        else (lambda n: rescind.revoke(f"{ALIAS}:key{n}")),
        lambda number: call(number, stream=True),
        (proxy.pid,),
        CACHED,
    )


async def _forge(
    name: str, work: Path, rescind: Rescind, enter: Any, port: int
) -> Asked:
    alone = name.endswith(ALONE)
    gateway = await enter(
        contextforge.gateway(work, port, None if alone else rescind.url)
    )
    tokens: dict[int, str] = {}

    def call(path: str, number: int) -> Call:
        token = tokens.setdefault(number, contextforge.signed())
        headers = {"Authorization": f"Bearer {token}"}
        return Call("GET", gateway.url + path, {"headers": headers})

    async def end(number: int) -> None:
        if alone:
            await gateway.revoke(tokens[number])
        else:
            await rescind.revoke(f"jwt.jti:{contextforge.jti(tokens[number])}")

    return Asked(
        name,
        lambda number: call("/tools", number),
        end,
        lambda number: call("/sse", number),
        (gateway.pid,),
        CACHED,
    )


def _row(name: str, times: list[Times]) -> Row:
    last = _spread([each.last for each in times])
    if not all(each.ends for each in times):
        last = f"over {min(each.last for each in times):.0f} s"
    value = f"last allowed {last}"
    streams = [each.stream for each in times]
    if ends := [each for each in streams if each is not None]:
        value += f", stream cut {_spread(ends)}"
    elif name in UNGUARDED:
        value += ", stream goes on"
    answered = _spread([each.answered for each in times])
    cpu = sum(each.cpu for each in times)
    return Row(name, value, cpu or None, peer=f"revocation answered {answered}")


def _spread(seconds: list[float]) -> str:
    low, middle, high = (1e3 * f(seconds) for f in (min, median, max))
    if len(seconds) == 1:
        return f"{middle:.0f} ms"
    return f"{middle:.0f} ({low:.0f} .. {high:.0f}) ms"
