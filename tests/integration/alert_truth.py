"""Hold what receivers of alerts accepted against what a world planted."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from attrs import define, field

from tests.generators.alerts import Episode, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.integration.alert_receiver import Inbox

# Which of them it is, receipts decide; that it is one of them, the world does.
CLASSES = {
    "use_after_revocation": "accepted",
    "enforcement_lag": "accepted",
    "enforcement_failure": "accepted",
    "blocked_attempt": "blocked",
    "unknown_credential": "unknown",
}
MOST_EVENT_IDS = 100


@define
class Tally:
    """What was found, over worlds."""

    streams: int = 0
    planted: int = 0
    uses: int = 0
    missed: int = 0
    false: int = 0
    messages: int = 0
    repeats: int = 0
    kills: int = 0
    faults: Counter[str] = field(factory=Counter)

    def __str__(self) -> str:
        """Say it in one line."""
        faults = ", ".join(f"{k or 'ok'} {v}" for k, v in sorted(self.faults.items()))
        alerted = self.planted - self.missed
        return (
            f"{self.streams} streams: {self.planted} episodes of {self.uses} uses "
            f"planted, {alerted} alerted, {self.false} false; {self.messages} messages "
            f"accepted once each, {self.repeats} repeats dropped; {self.kills} kills; "
            f"answers: {faults}"
        )


def complaints(
    world: World, inbox: Inbox, *, whole: bool, exact: bool = True
) -> Iterator[str]:
    """Say what is wrong with what an endpoint accepted; nothing where all is right.

    Args:
        world: what was planted.
        inbox: of one endpoint; messages of other worlds are left alone.
        whole: every episode must have come.
        exact: what comes under one id is the same each time, byte for byte, and a
            finding begins and ends once. A sentinel or notify process on Kafka that has
            lost its disk begins again.
    """
    mine = {
        identity: event
        for identity, event in inbox.accepted.items()
        if episode_of(event, world.prefix) is not None
    }
    for identity, event in mine.items():
        if identity != event["metadata"]["uid"]:
            yield f"{identity} is not the id of {event['metadata']['uid']}"
    yield from _false(world, mine.values())
    if exact:
        yield from _inexact(inbox, mine)
    if whole:
        yield from _missing(world, mine.values())


def _false(world: World, events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Say which alerts speak of what was not planted."""
    planted = world.planted()
    of_id = {use.event_id: use for use in world.uses}
    late = _declared_late(world)
    for event in events:
        episode = episode_of(event, world.prefix)
        related = [
            each["uid"]
            for each in event["finding_info"]["related_events"]
            if "type_uid" not in each  # other findings have one
        ]
        if episode not in planted and episode not in late:
            yield f"false: {episode} by {related}"
        for use in (of_id[uid] for uid in related):
            if episode in late and use.outcome != "denied":
                continue  # it may be dead as well
            if Episode(use.presented, use.planted, use.point) != episode:
                yield f"false: {use} in {episode}"


def _declared_late(world: World) -> set[Episode]:
    """Give what may be told, and is over in the end: it was declared hours late."""
    return {
        Episode(use.presented, "unknown", use.point)
        for use in world.uses
        if use.declared
    }


def _inexact(inbox: Inbox, events: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Say which ids had several contents, and what did not begin and end once."""
    turns: dict[str, Counter[str]] = defaultdict(Counter)
    for identity, event in events.items():
        activity = event["activity_name"]
        # What was over when its beginning was replayed ends behind it once more.
        if identity.count(".") > 1:
            activity += " again"
        turns[event["finding_info"]["uid"]][activity] += 1
        if len(inbox.bodies[identity]) != 1:
            yield f"{identity} has several contents"
    for finding, count in turns.items():
        # An endpoint that was gone may have missed the beginning.
        ends_again = count["Close again"] > count["Create"]
        if ends_again or max(count["Create"], count["Close"]) > 1:
            yield f"{finding} was told as {dict(count)}"


def _missing(world: World, events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Say which uses were not told, or told twice: a finding's last message counts."""
    told: dict[Episode | None, dict[str, dict[str, Any]]] = defaultdict(dict)
    begun: set[str] = set()
    ended: set[str] = set()
    for event in sorted(events, key=number):
        finding = event["finding_info"]["uid"]
        if event["activity_name"] != "Create" and finding not in begun:
            yield f"{finding} has no beginning"
        begun.add(finding)
        told[episode_of(event, world.prefix)][finding] = event
        if event["activity_name"] == "Close":
            ended.add(finding)
    for episode in _declared_late(world):
        for finding in told[episode].keys() - ended:
            yield f"{episode} was declared, and {finding} is open"
    for episode, uses in world.planted().items():
        last = {e["metadata"]["uid"]: e["count"] for e in told[episode].values()}
        if not last:
            yield f"missed: {episode}"
        elif sum(last.values()) != len(uses):
            yield f"{episode}: {last} uses told of {len(uses)}"


def number(event: dict[str, Any]) -> int:
    """Give the number of a message among those of its finding."""
    return int(event["metadata"]["uid"].split(".")[1])


def episode_of(event: dict[str, Any], prefix: str) -> Episode | None:
    """Give what an alert is about; None where that is no use of this world's."""
    (kind,) = event["finding_info"]["types"]
    found = event["unmapped"]
    name = found["identifier"].partition(":")[2]
    if kind not in CLASSES or not name.startswith(f"{prefix}-"):
        return None
    return Episode(found["identifier"], CLASSES[kind], found["point"])
