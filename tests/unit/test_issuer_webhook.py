"""A system of somebody's own is told by a signed webhook, and asked elsewhere."""

from __future__ import annotations

import time
from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.webhook.endings import WebhookEndings
from streams.actuators.webhook.settings import WebhookActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from streams.outbound.answers import HttpAnswer
from tests.issuers.fake import BASE, json
from tests.issuers.receiver import KEY, Receiver

pytestmark = pytest.mark.unit

TARGET = EndTarget(Identifier("acme.key", "k-1"))
VALUES: dict[str, Any] = {
    "vendor": "webhook", "authority": "acme", "url": f"{BASE}/end",
    "probe_url": f"{BASE}/state", "secret": {"value": KEY},
    "kinds": {"acme.key": {"suspends": True}},
}  # fmt: skip


def made() -> tuple[WebhookEndings, Receiver]:
    """Give the actuator and its receiver."""
    receiver = Receiver()
    endings = WebhookActuator.model_validate(VALUES).actuator("acme", time.time_ns)
    assert isinstance(endings, WebhookEndings)
    endings.client = receiver  # type: ignore[assignment]
    return endings, receiver


async def acted(endings: WebhookEndings, target: EndTarget) -> bool:
    """Plan and act."""
    step = await endings.plan(target)
    assert isinstance(step, EndStep)
    return (await endings.act(step)).done


async def test_it_ends_suspends_and_gives_back() -> None:
    """Each is told by an id of its own, and a repeated one is done once."""
    endings, receiver = made()
    assert (await endings.probe(TARGET)).found is Alive.ALIVE
    for wanted, found in (
        (WantedEnd.SUSPENDED, Alive.DEAD), (WantedEnd.RESTORED, Alive.ALIVE),
        (WantedEnd.ENDED, Alive.DEAD), (WantedEnd.ENDED, Alive.DEAD),
    ):  # fmt: skip
        target = evolve(TARGET, wanted=wanted)
        assert await acted(endings, target)
        assert (await endings.probe(target)).found is found
    assert len(receiver.told) == 3


async def test_a_receiver_that_only_says_yes_is_found_out() -> None:
    """It is asked elsewhere."""
    endings, receiver = made()
    receiver.lies = True
    assert await acted(endings, TARGET)
    assert (await endings.probe(TARGET)).found is Alive.ALIVE


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"id": "ask_of_yesterday"}, "another question"),
        ({"identifier": "acme.key:k-2"}, "another identifier"),
        ({"state": "gone"}, "no state"),
        ({"state": None}, "no state"),
        ({"state": "unknown", "reason": "the key store is away"}, "key store"),
    ],
)
async def test_an_answer_that_is_not_to_the_question_says_nothing(
    answers: dict[str, Any], reason: str
) -> None:
    """Whatever state it names."""
    endings, receiver = made()
    receiver.state, receiver.answers = "dead", answers
    probed = await endings.probe(TARGET)
    assert probed.found is Alive.UNKNOWN
    assert reason in probed.reason


@pytest.mark.parametrize(
    "answer",
    [
        json({}, 404), json({}, 410), json([]), HttpAnswer({}, b"dead"),
        json({"state": "dead"}, 202), json({"state": "dead"}, 500),
    ],
)  # fmt: skip
async def test_no_useless_answer_is_a_proof(answer: HttpAnswer) -> None:
    """Neither a status nor another body."""
    endings, receiver = made()
    receiver.always = answer
    probed = await endings.probe(TARGET)
    assert probed.found is Alive.UNKNOWN
    assert probed.answered is (answer.status < 500)


async def test_a_limit_is_told_with_its_time() -> None:
    """Of an act and of a question."""
    endings, receiver = made()
    receiver.always = json({}, 429, **{"retry-after": "9"})
    answer = await endings.act(EndStep(TARGET, ""))
    assert (answer.done, answer.retry_after) == (False, 9.0)
    assert (await endings.probe(TARGET)).retry_after == 9.0


async def test_each_question_is_another_one() -> None:
    """An answer that is kept answers none."""
    endings, receiver = made()
    for _ in range(3):
        await endings.probe(TARGET)
    assert len({one.headers["webhook-id"] for one in receiver.asked}) == 3


def test_nothing_shows_the_secret() -> None:
    """Of the settings and the actuator."""
    endings, _ = made()
    assert KEY not in repr(endings) + repr(WebhookActuator.model_validate(VALUES))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"probe_url": f"{BASE}/end"}, "another one"),
        ({"probe_url": "http://acme.example"}, "https"),
        ({"kinds": {}}, "at least 1"),
    ],
)
def test_wrong_settings_are_told(changed: dict[str, Any], told: str) -> None:
    """In words."""
    with pytest.raises(ValueError, match=told):
        WebhookActuator.model_validate(VALUES | changed)


def test_a_secret_that_cannot_sign_is_told() -> None:
    """When the actuator is made."""
    wrong = WebhookActuator.model_validate(VALUES | {"secret": {"value": "x"}})
    with pytest.raises(ValueError, match="whsec_"):
        wrong.actuator("acme", time.time_ns)
