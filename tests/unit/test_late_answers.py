"""Questions that an issuer answers later: kept, answered once, and for a time."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.webhook.endings import LOOK, WebhookEndings
from streams.actuators.webhook.settings import WebhookActuator
from streams.model.endings import Alive, EndTarget, Probed
from streams.model.late_answers import LateQuestion, key_of
from streams.model.times import DAY, SECOND
from streams.ports.keyed_store import ENDING_QUESTION
from streams.services.late_answers import KeptQuestions
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.progress import Patience, unknown
from tests.issuers.fake import NOW, json
from tests.issuers.receiver import KEY, Receiver
from tests.unit.kept_bodies import BodiesInMemory
from tests.unit.test_issuer_webhook import VALUES

pytestmark = pytest.mark.unit

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TARGET = EndTarget(Identifier("acme.key", "k-1"))
ASKED = LateQuestion("ask_1", key_of(TARGET), NOW + 60 * SECOND)
DEAD = {"id": "ask_1", "identifier": "acme.key:k-1", "state": "dead"}


class Realm:
    """A store, a clock, and processes that share them."""

    def __init__(self) -> None:
        self.now = NOW
        self.kept = BodiesInMemory()

    def questions(self, actuator: str = "acme") -> KeptQuestions:
        """Start one more process."""
        return KeptQuestions(self.kept, actuator, lambda: self.now)


async def test_any_process_takes_the_answer_once() -> None:
    """Who asked hears it; after it was read it is gone."""
    realm = Realm()
    asking, answering = realm.questions(), realm.questions()
    await asking.ask(ASKED)
    assert await answering.answer("ask_2", DEAD) is None
    assert await realm.questions("other").answer("ask_1", DEAD) is None
    assert await answering.answer("ask_1", DEAD) is True
    assert await answering.answer("ask_1", DEAD | {"state": "alive"}) is False

    found = realm.questions().last(ASKED.target)

    assert found == asking.last(ASKED.target) == evolve(ASKED, answer=DEAD)
    await asking.over(ASKED)
    assert await answering.answer("ask_1", DEAD) is None
    assert realm.kept.items(ENDING_QUESTION) == {}


async def test_an_answer_that_comes_too_late_counts_nothing() -> None:
    """Nor one to a question that was asked again, or of another version."""
    realm = Realm()
    asking = realm.questions()
    await realm.kept.put(ENDING_QUESTION, "acme/x", b"{}")
    await asking.ask(ASKED)
    await asking.ask(evolve(ASKED, id="ask_2"))
    assert await asking.answer("ask_1", DEAD) is None
    realm.now = ASKED.until
    assert await asking.answer("ask_2", DEAD) is None


async def test_what_nobody_asks_about_any_more_is_dropped() -> None:
    """A day after its time."""
    realm = Realm()
    asking = realm.questions()
    await asking.ask(ASKED)
    realm.now = ASKED.until + DAY + 1
    await asking.ask(evolve(ASKED, id="ask_2", target="x", until=realm.now + 1))
    assert {"acme/ask_2"} == set(realm.kept.items(ENDING_QUESTION))


def made(realm: Realm) -> tuple[WebhookEndings, Receiver, KeptQuestions]:
    """Give an actuator whose receiver answers nothing at once."""
    receiver, values = Receiver(), VALUES | {"callback": {"secret": {"value": SECRET}}}
    model = WebhookActuator.model_validate(values)
    endings = model.actuator("acme", lambda: realm.now)
    assert isinstance(endings, WebhookEndings)
    endings.client = receiver  # type: ignore[assignment]
    receiver.always = json({}, 202)
    questions = realm.questions()
    endings.hear(questions)
    return endings, receiver, questions


async def test_one_question_stands_until_it_is_answered() -> None:
    """Its answer counts once, and for what was asked alone."""
    realm = Realm()
    endings, receiver, questions = made(realm)
    for _ in range(3):
        probed = await endings.probe(TARGET)
        assert (probed.found, probed.later) == (Alive.UNKNOWN, LOOK)
    assert len(receiver.asked) == 1
    identity = receiver.asked[0].headers["webhook-id"]
    assert await questions.answer(identity, DEAD | {"id": identity})
    other = evolve(TARGET, not_before=1)
    assert (await endings.probe(other)).found is Alive.UNKNOWN
    assert (await endings.probe(TARGET)).found is Alive.DEAD
    assert (await endings.probe(TARGET)).later == LOOK
    assert len(receiver.asked) == 3


async def test_a_question_without_an_answer_is_an_attempt() -> None:
    """After its time; then it is asked again."""
    realm = Realm()
    endings, receiver, _ = made(realm)
    await endings.probe(TARGET)
    realm.now += 3600 * SECOND
    probed = await endings.probe(TARGET)
    assert (probed.found, probed.later, probed.answered) == (Alive.UNKNOWN, None, True)
    assert "in time" in probed.reason
    await endings.probe(TARGET)
    assert len(receiver.asked) == 2


def test_who_answers_later_is_not_given_up_meanwhile() -> None:
    """However often it is looked for."""
    item = EndingItem(actuator="acme", identifier=TARGET.identifier)
    probed = Probed(Alive.UNKNOWN, "later", later=2.0)
    for number in range(50):
        item = unknown(item, probed, Patience(3), number)
    assert (item.state, item.attempts) == (EndingState.PENDING, 0)
    assert item.due == 49 + 2 * SECOND


@pytest.mark.parametrize("secret", ["x", "whsk_" + "A" * 43 + "="])
def test_a_secret_that_a_receiver_cannot_sign_with_is_told(secret: str) -> None:
    """When the actuator is made."""
    callback: dict[str, Any] = {"secret": {"value": secret}}
    model = WebhookActuator.model_validate(VALUES | {"callback": callback})
    with pytest.raises(ValueError, match="whsec_"):
        model.actuator("acme", lambda: NOW)
    assert KEY not in repr(model)
