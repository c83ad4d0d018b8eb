"""The demo's play: what is sent, what must follow, and what of it is shown.

Nothing is shown that did not happen in this run: every mark is a verdict of the
guard's process, every number was measured, and what fails to happen ends the demo.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agents_registry.identifiers import Identifier
from streams.demo.recording import FALLEN, ORPHANS
from streams.demo.screen import Fall, Found, LineageMember
from streams.demo.stage import DemoError
from streams.model.findings import FindingKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.demo.recording import Recording
    from streams.demo.screen import Screen
    from streams.demo.stage import Stage

MILLISECOND = 1e6
_DEAD = frozenset({
    FindingKind.BLOCKED_ATTEMPT.value, FindingKind.USE_AFTER_REVOCATION.value,
})  # fmt: skip


@frozen
class Family:
    """Who there is before the revocation, and what hangs on the one that falls."""

    parents: dict[Identifier, str | None]
    fallen: Identifier
    below: frozenset[Identifier]
    dead_before: frozenset[Identifier]


async def play(stage: Stage, recording: Recording, screen: Screen) -> None:
    """Replay the recording in three parts and show what comes of it.

    Raises:
        DemoError: something that must happen did not.
    """
    screen.opening(recording, stage.url, stage.guard.process.pid)
    family = await _grow(stage, recording)
    fall = await _fall(stage, recording, family)
    screen.lineage(_members(stage, recording, family, fall))
    screen.revocation(recording.revocation, fall)
    found = await _try_again(stage, recording)
    screen.presentations(found)
    alert = await _alert(stage, family.fallen)
    screen.alert(alert, len(stage.receiver.verified), recording.names)
    orphans = [name for name, label in recording.family.items() if label in ORPHANS]
    await stage.until(lambda: stage.guard.allows(orphans), "the guard allows orphans")
    screen.orphans(ORPHANS)


async def _grow(stage: Stage, recording: Recording) -> Family:
    """Send the log up to the revocation; learn the lineage from the server."""
    await stage.send(recording.before)
    await stage.until(lambda: stage.served.stages.idle, "the log is worked off")
    names = recording.family
    parents = {name: await _parent(stage, recording, name) for name in names}
    labels = {names[name]: parent for name, parent in parents.items()}
    fallen = next(name for name in names if names[name] == FALLEN)
    below = frozenset(name for name in names if _hangs(names[name], labels))
    verdicts = stage.guard.verdicts
    await stage.until(
        lambda: stage.guard.allows([fallen]) and stage.guard.judges(names),
        f"the guard allows {FALLEN}, and judges all others",
    )
    dead = frozenset(name for name in names if not verdicts[name].allowed)
    return Family(parents, fallen, below - dead, dead)


async def _parent(stage: Stage, recording: Recording, name: Identifier) -> str | None:
    """Nearest ancestor that the recorder named."""
    answer = await stage.ask(f"why/{name}")
    own = recording.names[name]
    for text, _ in answer["ancestors"]:
        label = recording.names.get(Identifier.parse(text))
        if label not in (None, own):
            return label
    return None


def _hangs(label: str, parents: Mapping[str, str | None]) -> bool:
    """Whether a name hangs on the one that falls."""
    above = parents.get(label)
    while above is not None:
        if above == FALLEN:
            return True
        above = parents.get(above)
    return False


async def _fall(stage: Stage, recording: Recording, family: Family) -> Fall:
    """Send the revocation alone, and take the time until the guard denies all."""
    doomed = {family.fallen, *family.below}
    verdicts = stage.guard.verdicts
    sent = time.monotonic_ns()
    await stage.send(recording.call)
    accepted = time.monotonic_ns()

    def denied() -> bool:
        return all(
            not verdicts[name].allowed and verdicts[name].cause == str(family.fallen)
            for name in doomed
        )

    what = f"the guard denies {FALLEN} and its {len(family.below)} descendants"
    await stage.until(denied, what)
    others = recording.family.keys() - doomed - family.dead_before
    await stage.until(lambda: stage.guard.allows(others), "the guard allows all others")
    return Fall(
        accepted=(accepted - sent) / MILLISECOND,
        denied={
            name: (verdicts[name].at - sent) / MILLISECOND for name in sorted(doomed)
        },
        first=(verdicts[family.fallen].at - sent) / MILLISECOND,
    )


def _members(
    stage: Stage, recording: Recording, family: Family, fall: Fall
) -> list[LineageMember]:
    return [
        LineageMember(
            name=label,
            identifier=name,
            parent=family.parents[name],
            alive=stage.guard.verdicts[name].allowed,
            before=name in family.dead_before,
            after=fall.denied.get(name),
        )
        for name, label in recording.family.items()
    ]


async def _try_again(stage: Stage, recording: Recording) -> Found:
    """Send the rest of the log: what was presented dead must be found, all of it."""
    await stage.send(recording.after)
    await stage.until(lambda: stage.served.stages.idle, "the log is worked off")
    answer = await stage.ask("findings")
    dead = [each for each in answer["findings"] if each["kind"] in _DEAD]
    events = [event for each in dead for event in each["event_ids"]]
    missed = recording.refused.difference(events)
    wrong = recording.allowed.intersection(events)
    if missed or wrong:
        message = (
            f"the findings are not what the vault said: {len(missed)} refused "
            f"presentations missed, {len(wrong)} allowed ones reported"
        )
        raise DemoError(message)
    labels = recording.family
    own = dict.fromkeys(labels.values(), 0)
    credentials = set()
    for each in dead:
        # The vault logs a token sometimes by its accessor, sometimes by its HMAC.
        presented = Identifier.parse(each["presented"])
        label = recording.names.get(presented, str(presented))
        credentials.add(label)
        if label in own:
            own[label] += each["count"]
    return Found(
        family={label: count for label, count in own.items() if count},
        credentials=len(credentials),
        times=len(events),
        refused=len(recording.refused),
        accepted=sum(each["count"] for each in dead if each["outcome"] != "denied"),
    )


async def _alert(stage: Stage, presented: Identifier) -> dict[str, Any]:
    """Wait for the alert about one identifier; its signature was verified."""

    def about() -> dict[str, Any] | None:
        if stage.receiver.refused:
            raise DemoError("the webhook refused an alert: its signature is wrong")
        bodies = stage.receiver.verified.values()
        return next(
            (b for b in bodies if b["unmapped"]["identifier"] == str(presented)), None
        )

    await stage.until(lambda: about() is not None, f"an alert about {FALLEN}")
    return about() or {}
