"""Requests to an issuer keep to its limits: each page of a look, and each of an act."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.openbao.settings import OpenBaoActuator
from streams.actuators.openbao.tokens import AT_ONCE
from streams.actuators.webhook.settings import WebhookActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer
from streams.ports.findings_log import BehindError
from streams.services.actuated_issuer import NOT_ON, ActuatedIssuer
from tests import virtual
from tests.ending_world import FakeSettings
from tests.issuers.cases import CASES
from tests.issuers.fake import BASE, SECRET, json
from tests.issuers.keycloak import FakeKeycloak

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streams.actuators.actuator import Actuator
    from tests.virtual import VirtualLoop

pytestmark = pytest.mark.unit

CLIENTS = 60
SESSION = EndTarget(Identifier("session.id", "s"))
USER = EndTarget(Identifier("keycloak.user", "u"))


class LargeKeycloak(FakeKeycloak):
    """A realm with many clients, whose sessions are a request each."""

    def answer(self, asked: Any) -> HttpAnswer:
        """Note when it was asked."""
        self.times.append(asyncio.get_running_loop().time())
        if asked.path.endswith("client-session-stats"):
            rows = [{"id": "c-1", "active": "1"} for _ in range(CLIENTS)]
            return json(rows)
        if asked.path.endswith("-sessions"):
            return json([])
        return super().answer(asked)

    times: list[float]


def paced(
    actuator: Actuator, loop: VirtualLoop, per_second: float = 10.0
) -> ActuatedIssuer:
    """Ask an issuer as the settings say."""
    settings = FakeSettings(authority="a", per_second=per_second)
    return ActuatedIssuer(
        "it", settings, actuator, (), lambda: int(loop.time() * SECOND) + SECOND
    )


def run(story: Callable[[ActuatedIssuer, LargeKeycloak], Coroutine[Any, Any, None]],
        ) -> LargeKeycloak:  # fmt: skip
    """Ask a large realm, in virtual time."""
    actuator, _ = CASES["keycloak session.id"].made()
    realm = LargeKeycloak()
    realm.times = []
    actuator.api.client = realm  # type: ignore[assignment]

    async def main(loop: VirtualLoop) -> None:
        await story(paced(actuator, loop), realm)

    virtual.run(main)
    return realm


def most_in_a_second(times: list[float]) -> int:
    """Count the requests of the busiest second."""
    return max(sum(at <= each < at + 1 for each in times) for at in times)


def test_each_request_of_a_look_has_its_turn() -> None:
    """A look is many requests, and two looks at once keep to the same limit."""

    async def story(issuer: ActuatedIssuer, realm: LargeKeycloak) -> None:
        del realm
        await asyncio.gather(issuer.probe(SESSION), issuer.probe(SESSION))

    times = run(story).times

    assert len(times) > 4 * CLIENTS
    assert most_in_a_second(times) <= 11


def test_an_issuer_that_asks_to_wait_amid_a_look_is_left_alone() -> None:
    """No page of another look is asked for meanwhile."""

    async def story(issuer: ActuatedIssuer, realm: LargeKeycloak) -> None:
        other = asyncio.create_task(issuer.probe(SESSION))
        await asyncio.sleep(1)
        realm.planned = [json({}, 429, **{"retry-after": "30"})]
        await issuer.probe(USER)
        await other

    times = run(story).times

    assert max(b - a for a, b in pairwise(times)) >= 30


def test_the_rest_of_an_act_waits_and_is_left_where_its_cause_is_lifted() -> None:
    """The user is disabled, and not logged out: whoever lifted it gives it back."""
    asked: list[bool] = []

    async def still() -> bool:
        asked.append(True)
        return False

    async def story(issuer: ActuatedIssuer, realm: LargeKeycloak) -> None:
        step = await issuer.plan(USER)
        assert isinstance(step, EndStep)
        await issuer.turn()
        acted = await issuer.act(step, still)
        assert (acted.done, NOT_ON in acted.said) == (False, True)
        assert [True] == asked
        lent = evolve(USER, wanted=WantedEnd.SUSPENDED)
        assert Alive.DEAD is (await issuer.probe(lent)).found
        assert Alive.ALIVE is (await issuer.probe(USER)).found
        assert realm.acts() == ["PUT /admin/realms/main/users/u"]

    times = run(story).times

    assert most_in_a_second(times) <= 11


def test_the_rest_of_an_act_waits_for_a_table_that_is_behind() -> None:
    """Facts without end are no failure of the issuer."""

    async def still() -> bool:
        raise BehindError

    async def story(issuer: ActuatedIssuer, realm: LargeKeycloak) -> None:
        step = await issuer.plan(USER)
        assert isinstance(step, EndStep)
        await issuer.turn()
        with pytest.raises(BehindError):
            await issuer.act(step, still)
        assert 1 == len(realm.acts())

    run(story)


def test_an_act_that_is_still_due_is_made_whole() -> None:
    """Its second request waits for its turn."""

    async def still() -> bool:
        return True

    async def story(issuer: ActuatedIssuer, realm: LargeKeycloak) -> None:
        step = await issuer.plan(USER)
        assert isinstance(step, EndStep)
        await issuer.turn()
        assert (await issuer.act(step, still)).done
        assert 2 == len(realm.acts())

    times = run(story).times

    assert times[-1] - times[-2] >= 0.09


def test_whoever_waits_first_has_the_first_turn() -> None:
    """Nobody who asks again at once goes before those who wait."""
    had: list[int] = []

    async def main(loop: VirtualLoop) -> None:
        actuator, _ = CASES["keycloak session.id"].made()
        issuer = paced(actuator, loop, 3.0)

        async def ask(number: int) -> None:
            for _ in range(20):
                await issuer.turn()
                had.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(ask(number) for number in range(7)))

    virtual.run(main)

    assert had == [*range(7)] * 20


class Vault:
    """Many tokens, whose names are a request each."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def request(self, method: str, url: str, **more: Any) -> HttpAnswer:
        """Answer as a vault does."""
        self.times.append(asyncio.get_running_loop().time())
        if url.endswith("sys/namespaces"):
            return json({"errors": []}, 404)
        if method == "LIST":
            return json({"data": {"keys": [f"a{n}" for n in range(50)]}})
        assert url.endswith("sys/audit-hash/file"), more
        return json({"data": {"hash": f"hmac-sha256:{len(self.times)}"}})


def test_the_names_of_a_vaults_tokens_are_asked_for_in_turns() -> None:
    """They are asked for by several at once."""
    assert AT_ONCE > 1
    settings = OpenBaoActuator(
        vendor="openbao", authority="a", url=BASE, token={"value": SECRET}
    )
    assert settings.per_second > FakeSettings(authority="a").per_second
    vault = Vault()

    async def main(loop: VirtualLoop) -> None:
        actuator = settings.actuator("it", lambda: 0)
        actuator._asked._client = vault  # type: ignore[assignment]
        target = EndTarget(Identifier("vault.accessor", "hmac-sha256:none"))
        await paced(actuator, loop).probe(target)

    virtual.run(main)

    assert 52 == len(vault.times)
    assert most_in_a_second(vault.times) <= 11


class Receiver:
    """Takes messages."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def request(self, *_: Any, **__: Any) -> HttpAnswer:
        """Answer nothing of use."""
        self.times.append(asyncio.get_running_loop().time())
        return HttpAnswer({}, b"", 404)


def test_messages_to_a_receiver_have_their_turns() -> None:
    """Questions of many targets at once."""
    key = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings = WebhookActuator(
        vendor="webhook", authority="a", url=BASE, probe_url=f"{BASE}/probe",
        secret={"value": key}, kinds={"gateway.key": {}},
    )  # fmt: skip
    receiver = Receiver()

    async def main(loop: VirtualLoop) -> None:
        actuator: Any = settings.actuator("it", lambda: 0)
        actuator.client = receiver
        issuer = paced(actuator, loop)
        target = EndTarget(Identifier("gateway.key", "k"))
        await asyncio.gather(*(issuer.probe(target) for _ in range(30)))

    virtual.run(main)

    assert 30 == len(receiver.times)
    assert most_in_a_second(receiver.times) <= 11
