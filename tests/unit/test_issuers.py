"""Every vendor's actuator, kind by kind: the probe decides, whatever an act answers."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from agents_registry.identifiers import VOCABULARY
from streams.actuators.catalogue import FOLDERS
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, WantedEnd
from streams.outbound.answers import HttpAnswer, RequestError
from tests.issuers.cases import CASES
from tests.issuers.fake import SECRET, Case, FakeIssuer, json

pytestmark = pytest.mark.unit

SUSPENDABLE = [
    name
    for name, case in CASES.items()
    if case.target.not_before is None
    and case.made()[0].kinds()[case.target.identifier.kind].suspends
]
# What stands between us and an issuer, and what an issuer says that is no word on the
# target.
USELESS: Final[dict[str, HttpAnswer | RequestError]] = {
    "a login page": HttpAnswer({}, b"<html>sign in</html>"),
    "an empty answer": HttpAnswer({}, b""),
    "another JSON": json(["unexpected"]),
    "a page of a proxy that says 404": HttpAnswer(
        {}, b"<html>no such host</html>", 404
    ),
    "an empty 404": HttpAnswer({}, b"", 404),
    "an empty 410": HttpAnswer({}, b"", 410),
    "no right": json({"error": "unauthorized"}, 401),
    "forbidden": json({"error": "unknown_error"}, 403),
    "a limit": json({"error": "limit"}, 429, **{"retry-after": "7"}),
    "an error": json({"error": "unknown_error"}, 500),
    "away": HttpAnswer({}, b"", 503),
    "a redirect": HttpAnswer({"location": "https://elsewhere.example"}, b"", 302),
    "no answer": RequestError("timeout"),
}


async def seen(case: Case, actuator: WayActuator, issuer: FakeIssuer) -> Alive:
    """Probe until the issuer had its time; what was acted on was seen there."""
    target = evolve(case.target, seen=True)
    await actuator.probe(target)
    issuer.now += case.later
    return (await actuator.probe(target)).found


@pytest.mark.parametrize("name", CASES)
async def test_what_is_planned_is_asked_for_and_seen(name: str) -> None:
    """Alive, then what was planned, then dead; to do it again changes nothing."""
    case = CASES[name]
    actuator, issuer = case.made()

    assert (await actuator.probe(case.target)).found is Alive.ALIVE
    step = await actuator.plan(case.target)
    assert isinstance(step, EndStep)
    assert issuer.acts() == []  # a plan reads
    assert (await actuator.act(step)).done
    assert tuple(issuer.acts()) == case.acts
    assert await seen(case, actuator, issuer) is Alive.DEAD

    assert (await actuator.act(step)).done  # a crash repeats it
    assert await seen(case, actuator, issuer) is Alive.DEAD
    again = await actuator.plan(evolve(case.target, seen=True))
    assert isinstance(again, EndStep)
    assert again.data == ()


@pytest.mark.parametrize("name", CASES)
async def test_an_issuer_that_only_says_yes_is_found_out(name: str) -> None:
    """The probe finds it alive."""
    case = CASES[name]
    actuator, issuer = case.made()
    issuer.lies = True

    step = await actuator.plan(case.target)
    assert isinstance(step, EndStep)
    assert (await actuator.act(step)).done
    assert await seen(case, actuator, issuer) is Alive.ALIVE


@pytest.mark.parametrize("name", CASES)
async def test_no_useless_answer_is_a_proof(name: str) -> None:
    """Neither by a probe nor by a plan."""
    case = CASES[name]
    actuator, issuer = case.made()
    for answer, useless in USELESS.items():
        issuer.always = useless
        for asked in (actuator.probe, actuator.plan):
            with pytest.raises(RequestError) as caught:
                pytest.fail(f"{answer}: {await asked(case.target)}")
            assert SECRET not in str(caught.value)
    assert issuer.acts() == []


@pytest.mark.parametrize("name", CASES)
async def test_an_act_that_says_gone_proves_nothing(name: str) -> None:
    """It is done, as far as the act goes; the probe finds it alive."""
    case = CASES[name]
    actuator, issuer = case.made()
    step = await actuator.plan(case.target)
    assert isinstance(step, EndStep)
    issuer.planned = [HttpAnswer({}, b"", 404) for _ in step.data]

    assert (await actuator.act(step)).done
    assert await seen(case, actuator, issuer) is Alive.ALIVE


@pytest.mark.parametrize(("headers", "wait"), [({"retry-after": "7"}, 7.0), ({}, 1.0)])
@pytest.mark.parametrize("name", CASES)
async def test_a_limit_is_told_with_its_time(
    name: str, headers: dict[str, str], wait: float
) -> None:
    """Of an act; nothing more is asked for after it, and no attempt is used up.

    Where it tells no time, GitHub asks for a minute.
    """
    wait = 60.0 if not headers and name.startswith("github") else wait
    case = CASES[name]
    actuator, issuer = case.made()
    step = await actuator.plan(case.target)
    assert isinstance(step, EndStep)
    issuer.planned = [json({}, 429, **headers)]

    acted = await actuator.act(step)
    assert (acted.done, acted.retry_after) == (False, wait)
    assert len(issuer.acts()) == 1


@pytest.mark.parametrize("name", CASES)
async def test_nothing_shows_the_credential_for_acting(name: str) -> None:
    """Neither a step nor an answer nor a probe."""
    case = CASES[name]
    actuator, _ = case.made()
    shown = [repr(actuator), repr(await actuator.probe(case.target))]
    step = await actuator.plan(case.target)
    assert isinstance(step, EndStep)
    shown += [repr(step), step.act, repr(await actuator.act(step))]
    assert SECRET not in " ".join(shown)


@pytest.mark.parametrize("name", SUSPENDABLE)
async def test_what_is_suspended_is_given_back(name: str) -> None:
    """By the same switch, and the probe sees both."""
    case = CASES[name]
    actuator, issuer = case.made()
    for wanted, found in (
        (WantedEnd.SUSPENDED, Alive.DEAD), (WantedEnd.RESTORED, Alive.ALIVE),
    ):  # fmt: skip
        target = evolve(case.target, wanted=wanted)
        step = await actuator.plan(target)
        assert isinstance(step, EndStep)
        assert step.data
        assert (await actuator.act(step)).done
        issuer.now += case.later
        assert (await actuator.probe(target)).found is found


@pytest.mark.parametrize("vendor", sorted({case.vendor for case in CASES.values()}))
def test_the_kinds_of_a_vendor_are_known_ones(vendor: str) -> None:
    """Each of its kinds is in the vocabulary, and each has a case."""
    cases = [case for case in CASES.values() if case.vendor == vendor]
    kinds = cases[0].made()[0].kinds()
    assert kinds.keys() <= VOCABULARY.keys()
    without = kinds.keys() - {case.target.identifier.kind for case in cases}
    assert all("ends with" in kinds[kind].how for kind in without)
    assert vendor in FOLDERS
