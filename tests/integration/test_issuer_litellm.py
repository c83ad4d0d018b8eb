"""Teams and users are ended at a real LiteLLM proxy; their keys tell.

It takes a minute of CPU: LiteLLM's imports, and 213 migrations of its database.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.litellm.settings import LiteLlmActuator
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from streams.outbound.answers import RequestError
from tests.integration import litellm_proxy
from tests.integration.litellm_proxy import MASTER, LiteLlmProxy
from tests.integration.serving import Server, until, values
from tests.integration.serving import running as serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

OK = 200
NOBODYS = Identifier("litellm.user", "nobody")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteLlmProxy]:
    """Run a proxy with its database."""
    with litellm_proxy.running(tmp_path_factory.mktemp("litellm")) as found:
        yield found


class Admin:
    """Asks the proxy as its administrator, and as whoever holds a key."""

    def __init__(self, proxy: LiteLlmProxy, session: aiohttp.ClientSession) -> None:
        """Ask over a session."""
        self.url, self._session = proxy.url, session

    async def post(self, path: str, **body: Any) -> Any:
        """Ask as administrator."""
        headers = {"authorization": f"Bearer {MASTER}"}
        async with self._session.post(
            self.url + path, json=body, headers=headers
        ) as got:
            answer = await got.json()
            assert got.status == OK, answer
            return answer

    async def key(self, **of: Any) -> str:
        """Make a virtual key."""
        found: str = (await self.post("/key/generate", **of))["key"]
        return found

    async def honoured(self, key: str) -> bool:
        """Present a key."""
        headers = {"authorization": f"Bearer {key}"}
        async with self._session.get(f"{self.url}/v1/models", headers=headers) as got:
            return got.status == OK


@pytest.fixture
async def admin(proxy: LiteLlmProxy) -> AsyncIterator[Admin]:
    """Ask the proxy."""
    async with aiohttp.ClientSession() as session:
        yield Admin(proxy, session)


def settings(url: str, key: str = MASTER) -> dict[str, Any]:
    """Give the settings of the actuator."""
    return {
        "vendor": "litellm", "authority": "litellm", "url": url, "allow_http": True,
        "key": {"value": key},
    }  # fmt: skip


@pytest.fixture
async def actuator(proxy: LiteLlmProxy) -> AsyncIterator[WayActuator]:
    """Act as a proxy admin."""
    made = LiteLlmActuator(**settings(proxy.url)).actuator("it", time.time_ns)
    assert isinstance(made, WayActuator)
    yield made
    await made.close()


async def ended(actuator: WayActuator, target: EndTarget) -> None:
    """Probe, act, and probe again; then act once more, as after a crash."""
    back = target.wanted is WantedEnd.RESTORED
    before, after = (Alive.DEAD, Alive.ALIVE) if back else (Alive.ALIVE, Alive.DEAD)
    assert (await actuator.probe(target)).found is before
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    for _ in range(2):
        answer = await actuator.act(step)
        assert answer.done, answer
    assert (await actuator.probe(target)).found is after


async def test_a_team_is_blocked_and_given_back(
    admin: Admin, actuator: WayActuator
) -> None:
    """By the proxy's own record; a team beside it stays as it is."""
    await admin.post("/team/new", team_id="orders")
    await admin.post("/team/new", team_id="others")
    lent = EndTarget(Identifier("litellm.team", "orders"), wanted=WantedEnd.SUSPENDED)

    await ended(actuator, lent)
    other = evolve(lent, identifier=Identifier("litellm.team", "others"))
    assert (await actuator.probe(other)).found is Alive.ALIVE
    await ended(actuator, evolve(lent, wanted=WantedEnd.RESTORED))


async def test_all_keys_of_a_user_are_blocked(
    admin: Admin, actuator: WayActuator
) -> None:
    """Those of another user live on."""
    for user in ("ann", "bob"):
        await admin.post("/user/new", user_id=user, auto_create_key=False)
    keys = [await admin.key(user_id="ann") for _ in range(2)]
    other = await admin.key(user_id="bob")
    assert all([await admin.honoured(key) for key in keys])

    await ended(actuator, EndTarget(Identifier("litellm.user", "ann")))

    assert not any([await admin.honoured(key) for key in keys])
    assert await admin.honoured(other)


async def test_what_the_proxy_does_not_know(
    admin: Admin, actuator: WayActuator
) -> None:
    """A team that is gone is dead, and a user may be one of another proxy."""
    await admin.post("/team/new", team_id="gone")
    await admin.post("/team/delete", team_ids=["gone"])
    await admin.post("/user/new", user_id="idle", auto_create_key=False)

    team = EndTarget(Identifier("litellm.team", "gone"))
    idle = EndTarget(Identifier("litellm.user", "idle"))
    assert (await actuator.probe(team)).found is Alive.DEAD
    assert (await actuator.probe(idle)).found is Alive.DEAD
    assert (await actuator.probe(EndTarget(NOBODYS))).found is Alive.UNKNOWN


async def test_a_key_without_rights_proves_nothing(
    admin: Admin, proxy: LiteLlmProxy
) -> None:
    """The proxy refuses it, whatever it is asked."""
    await admin.post("/user/new", user_id="weak", auto_create_key=False)
    key = await admin.key(user_id="weak")
    weak = LiteLlmActuator(**settings(proxy.url, key)).actuator("it", time.time_ns)
    await admin.post("/team/new", team_id="safe")
    try:
        for name in (Identifier("litellm.team", "safe"), NOBODYS):
            with pytest.raises(RequestError):
                await weak.probe(EndTarget(name))
    finally:
        await weak.close()


async def test_a_revoke_ends_a_team_at_the_proxy(
    admin: Admin, proxy: LiteLlmProxy, tmp_path: Path
) -> None:
    """Closure shows it probed dead."""
    await admin.post("/team/new", team_id="agents")
    team = "litellm.team:agents"
    ours = settings(proxy.url) | {"mode": "automatic"}
    given: dict[str, Any] = {
        "actuators": {"gateway": ours},
        "authorities": values(tmp_path)["authorities"]
        | {"litellm": {"grants": [{"kind": "litellm.*"}]}},
    }
    async with serving(tmp_path, **given) as server:
        body = {"credentials": [{"identifier": team, "root": True}]}
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        answer = await server.post("/v1/revocations", "revoker", {"identifier": team})
        found = await _ended_at(server, answer[1]["id"])

    assert 1 == found["ended"]


async def _ended_at(server: Server, cause: str) -> dict[str, Any]:
    async def proven() -> dict[str, Any] | None:
        _, found = await server.get(f"/v1/revocations/{cause}/issuers")
        return found if found["state"] == "ended" else None

    found: dict[str, Any] = await until(proven)
    return found
