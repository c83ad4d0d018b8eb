"""Hold what receivers of alerts accepted against what a world planted."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from attrs import define, field

from tests.generators.alerts import Episode, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.integration.alert_receiver import Inbox

# Which of them it is, receipts decide; that it is one of them, the world does.
CLASSES = {
    "use_after_revocation": "accepted",
    "source_delay": "accepted",
    "enforcement_lag": "accepted",
    "enforcement_failure": "accepted",
    "blocked_attempt": "blocked",
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
    world: World, inbox: Inbox, *, whole: bool, bodies: bool = True
) -> Iterator[str]:
    """Say what is wrong with what an endpoint accepted; nothing where all is right.

    Args:
        world: what was planted.
        inbox: of one endpoint; messages of other worlds are left alone.
        whole: every episode must have come.
        bodies: what comes under one id is the same each time, byte for byte.
    """
    planted = world.planted()
    of_id = {use.event_id: use for use in world.uses}
    told: dict[Episode, dict[str, dict[str, Any]]] = defaultdict(dict)
    for identity, event in inbox.accepted.items():
        episode = episode_of(event, world.prefix)
        if episode is None:
            continue
        if bodies and len(inbox.bodies[identity]) != 1:
            yield f"{identity} has several contents"
        if episode not in planted:
            yield f"false: {episode} {event['finding_info']['related_events']}"
            continue
        for each in event["finding_info"]["related_events"]:
            use = of_id[each["uid"]]
            if Episode(use.presented, use.planted, use.point) != episode:
                yield f"false: {use} in {episode}"
        # The last message of a finding says all of it.
        finding = event["finding_info"]["uid"]
        known = told[episode].get(finding)
        if known is None or number(event) > number(known):
            told[episode][finding] = event
    if whole:
        for episode, uses in planted.items():
            yield from _missing(episode, len(uses), told[episode].values())


def _missing(
    episode: Episode, uses: int, events: Iterable[dict[str, Any]]
) -> Iterator[str]:
    """Say which uses of an episode were not told, or were told twice."""
    counted = sum(event["count"] for event in events)
    if not counted:
        yield f"missed: {episode}"
    elif counted != uses:
        last = {event["metadata"]["uid"]: event["count"] for event in events}
        yield f"{episode}: {counted} uses told of {uses} in {last}"


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
