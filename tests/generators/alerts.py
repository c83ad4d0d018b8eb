"""Make streams of lifecycle events and uses with known answers: seeded, hand-made.

A world has people who own agents, agents below agents, credentials below credentials
up to six deep, second names, edges that become known late, and all that ends
authority: revocations of a whole subtree and of one credential alone, watermarks,
suspensions and their ends, owners that are lost. Uses are allowed and denied, before
and after, at several points. Some credentials are used and never declared.

Beside the lines stands the truth: for every use, since when its credential was dead.
It comes from a plain walk over this module's own objects and shares no code with the
product. Times are whole seconds from the start of the world; each event has its own,
`STEP` from the next, so that nothing ties.

Lines arrive hours late and in any order, up to five times. Three orders are kept, since
without them the right answer at the time is a denial and so an alert: what states a
parent of a node comes no earlier than the node's own time of issue, a use after the
end of a suspension no earlier than that end, and a use under two names no earlier than
what made them one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

STEP: Final = 4
GRACE: Final = 1
HOUR: Final = 3600
MAX_DEPTH: Final = 6
COPIES: Final = 5
POINTS: Final = ("payments", "mail", "search")

MAPPING: Final = """\
name: world
kinds: {world.person: principal, world.agent: principal, world.token: credential,
        world.session: credential}
event: {id: id, type: type, time: time}
rules:
  - name: issued
    record: lifecycle
    when: {type: issued}
    effect: issue
    issued_at: issued
    identifiers: &names
      - {kind: world.person, path: person}
      - {kind: world.agent, path: agent}
      - {kind: world.token, path: token}
      - {kind: world.session, path: session}
    parents: &parents
      - {kind: world.agent, path: under.agent}
      - {kind: world.token, path: under.token}
    owners:
      - {kind: world.person, path: "owners[0]"}
      - {kind: world.person, path: "owners[1]"}
  - {name: linked, record: lifecycle, when: {type: linked}, effect: none,
     identifiers: *names, parents: *parents}
  - {name: revoked, record: lifecycle, when: {type: revoked}, effect: revoke,
     identifiers: *names}
  - {name: rotated, record: lifecycle, when: {type: rotated}, effect: revoke,
     reach: self, identifiers: *names}
  - {name: logged out, record: lifecycle, when: {type: logged out}, effect: not_before,
     identifiers: *names}
  - {name: suspended, record: lifecycle, when: {type: suspended}, effect: suspend,
     aspect: state, identifiers: *names}
  - {name: resumed, record: lifecycle, when: {type: resumed}, effect: restore,
     aspect: state, identifiers: *names}
  - name: used
    record: access
    when: {type: used}
    identifiers: *names
    point: point
    outcome: {path: outcome, denied: [denied]}
"""


@dataclass(eq=False)
class Thing:
    """A person, agent or token, and what it requires.

    Attributes:
        owners: one of them must live.
        session: a second name of a token.
        depth: how many tokens stand above it at most.
    """

    kind: str
    name: str
    issued: int
    parents: list[Thing] = field(default_factory=list)
    owners: list[Thing] = field(default_factory=list)
    session: str = ""
    depth: int = 0

    def closure(self) -> list[Thing]:
        """Give the thing and all that it requires."""
        seen: dict[int, Thing] = {}
        left = [self]
        while left:
            thing = left.pop()
            if id(thing) not in seen:
                seen[id(thing)] = thing
                left += thing.parents
        return list(seen.values())


class Cause(NamedTuple):
    """What ends authority, at a time; ``lifted`` is when that is over."""

    effect: str
    target: Thing
    at: int
    lifted: int | None = None


class Line(NamedTuple):
    """An event as its source writes it, and when its copies arrive."""

    at: int
    body: dict[str, Any]
    arrivals: tuple[float, ...]


class Use(NamedTuple):
    """One presentation of a credential.

    Attributes:
        dead_since: when the earliest of the causes was that had ended it by then.
        declared: whether a line says, be it late, that it was issued.
    """

    event_id: str
    presented: str
    point: str
    outcome: str
    at: int
    dead_since: int | None
    declared: bool

    @property
    def planted(self) -> str:
        """Give the class of alert that it must cause, empty for none."""
        if not self.declared:
            return "" if self.outcome == "denied" else "unknown"
        if self.dead_since is None:
            return ""
        if self.outcome == "denied":
            return "blocked"
        return "accepted" if self.at > self.dead_since + GRACE else ""


class Episode(NamedTuple):
    """What an alert is about: a class of use of a credential at a point."""

    presented: str
    kind: str
    point: str


@dataclass
class World:
    """A stream and its truth."""

    random: Random
    prefix: str
    people: list[Thing] = field(default_factory=list)
    agents: list[Thing] = field(default_factory=list)
    tokens: list[Thing] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    events: list[tuple[int, dict[str, Any], list[Any]]] = field(default_factory=list)
    pending: list[tuple[Thing, str, str, str, int]] = field(default_factory=list)
    clock: int = 0
    lines: list[Line] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)

    def planted(self) -> dict[Episode, list[Use]]:
        """Give all that must be alerted, and the uses behind it."""
        found: dict[Episode, list[Use]] = defaultdict(list)
        for use in self.uses:
            if use.planted:
                found[Episode(use.presented, use.planted, use.point)].append(use)
        return dict(found)

    def arriving(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Give the copies of all lines in the order of their arrival."""
        copies = [(at, n) for n, line in enumerate(self.lines) for at in line.arrivals]
        for at, number in sorted(copies):
            yield at, self.lines[number].body

    # --- the truth ---------------------------------------------------------------

    def dead_since(self, thing: Thing, at: int) -> int | None:
        """Give when the earliest cause was that ends a thing as of a time."""
        required = thing.closure()
        ends = [c.at for c in self.causes if c.at < at and self.hits(c, required, at)]
        for owned in required:
            lost = [self.dead_since(owner, at) for owner in owned.owners]
            if lost and None not in lost:
                ends.append(max(end for end in lost if end is not None))
        return min(ends, default=None)

    def hits(self, cause: Cause, required: list[Thing], at: int) -> bool:
        """Tell whether a cause ends what requires these things."""
        if cause.lifted is not None and cause.lifted <= at:
            return False
        target = cause.target
        if cause.effect == "rotated":
            return required[0] is target or any(
                one.issued >= cause.at and target in one.parents for one in required
            )
        if cause.effect == "logged out":
            return any(
                one.kind == "token"
                and one.issued <= cause.at
                and target in one.closure()
                for one in required
            )
        return any(one is target for one in required)

    # --- making ------------------------------------------------------------------

    def event(self, kind: str, thing: Thing, **values: Any) -> dict[str, Any]:
        """Let something happen now."""
        self.clock += STEP
        return self.event_at(self.clock, kind, {thing.kind: thing.name, **values})

    def event_at(self, at: int, kind: str, values: dict[str, Any]) -> dict[str, Any]:
        """Let something happen at a time."""
        number = len(self.events)
        body = {"id": f"{self.prefix}-{number}", "type": kind, "time": at, **values}
        self.events.append((at, body, []))
        return body

    def new(self, kind: str, **values: Any) -> Thing:
        """Make a thing; its issue is an event."""
        of_kind = {"person": self.people, "agent": self.agents, "token": self.tokens}
        name = f"{self.prefix}-{kind}{len(of_kind[kind])}"
        thing = Thing(kind, name, self.clock + STEP, **values)
        of_kind[kind].append(thing)
        under: dict[str, str] = {}
        for parent in thing.parents:
            under[parent.kind] = parent.name
        owners = [owner.name for owner in thing.owners]
        self.event("issued", thing, issued=thing.issued, under=under, owners=owners)
        return thing

    def use(self, thing: Thing, at: int, *, denied: bool = False) -> None:
        """Present a credential."""
        point = self.random.choice(POINTS)
        named = thing.session if thing.session and self.random.random() < 0.5 else ""
        values = {"session": named} if named else {thing.kind: thing.name}
        if thing.session and self.random.random() < 0.15:
            values = {"token": thing.name, "session": thing.session}
        outcome = "denied" if denied else "ok"
        body = self.event_at(at, "used", {**values, "point": point, "outcome": outcome})
        kind = "token" if "token" in values else "session"
        presented = f"world.{kind}:{values[kind]}"
        self.pending.append((thing, body["id"], presented, point, at))


def generate(random: Random, prefix: str, size: int = 60) -> World:
    """Make a world.

    Args:
        random: seeded by the caller.
        prefix: makes the names and ids of this world its own.
        size: how many things happen after its people and agents are there.
    """
    world = World(random, prefix)
    for _ in range(3):
        world.new("person")
    for _ in range(4):
        _agent(world)
    for _ in range(3):
        _token(world)
    acts = [_use, _token, _agent, _name, _link, _revoke, _rotate, _logout, _suspend]
    weights = [10, 6, 1, 1.5, 0.7, 1.6, 0.9, 0.8, 0.9]
    for _ in range(size):
        random.choices(acts, weights)[0](world)
    _revoke(world)  # there is always something to find
    for _ in range(12):
        _use(world)
    _shadow(world)
    _close(world)
    return world


def _agent(world: World) -> None:
    random = world.random
    parents = []
    if world.agents and random.random() < 0.4:
        parents.append(random.choice(world.agents))
    owners = random.sample(world.people, random.choice((0, 1, 1, 2)))
    world.new("agent", parents=parents, owners=owners)


def _token(world: World) -> None:
    """Issue a token to an agent, rather from another one: chains get deep."""
    random = world.random
    parents = [random.choice(world.agents)]
    depth = 0
    if world.tokens and random.random() < 0.7:
        by = max(random.choices(world.tokens, k=3), key=lambda one: one.depth)
        if by.depth < MAX_DEPTH:
            parents.append(by)
            depth = by.depth + 1
    world.new("token", parents=parents, depth=depth)


def _shadow(world: World) -> None:
    """Use tokens that nobody declares."""
    for number in range(2):
        token = Thing("token", f"{world.prefix}-shadow{number}", world.clock)
        for _ in range(world.random.randint(1, 3)):
            world.clock += STEP
            world.use(token, world.clock, denied=world.random.random() < 0.2)


def _name(world: World) -> None:
    """Give a token a second name; both were issued at the token's time."""
    token = world.random.choice(world.tokens)
    if not token.session:
        token.session = f"{token.name}-session"
        world.event("issued", token, session=token.session, issued=token.issued)


def _link(world: World) -> None:
    """Learn late that a token also requires another agent."""
    token = world.random.choice(world.tokens)
    agent = world.random.choice(world.agents)
    if agent not in token.parents:
        token.parents.append(agent)
        world.event("linked", token, under={"agent": agent.name})


def _use(world: World) -> None:
    random = world.random
    token = random.choice(world.tokens[-12:])
    world.clock += STEP * random.choice((1, 1, 1, 5, 40))
    for _ in range(random.choice((1, 1, 2, 4))):
        world.clock += STEP
        world.use(token, world.clock, denied=random.random() < 0.2)


def _cause(world: World, effect: str, target: Thing) -> None:
    world.event(effect, target)
    world.causes.append(Cause(effect, target, world.clock))
    if world.random.random() < 0.5:  # in flight: within the grace
        below = [one for one in world.tokens if target in one.closure()]
        if below:
            world.use(world.random.choice(below), world.clock + GRACE)


def _revoke(world: World) -> None:
    random = world.random
    ends = random.choices(
        (world.tokens, world.agents, world.people), (6, 1, 1)
    )[0]  # fmt: skip
    _cause(world, "revoked", random.choice(ends))


def _rotate(world: World) -> None:
    _cause(world, "rotated", world.random.choice(world.tokens))


def _logout(world: World) -> None:
    _cause(world, "logged out", world.random.choice(world.agents))


def _suspend(world: World) -> None:
    """Suspend something, with uses meanwhile, and mostly end that."""
    random = world.random
    target = random.choice((*world.agents, *world.tokens))
    if any(c.effect == "suspended" and c.target is target for c in world.causes):
        return
    world.event("suspended", target)
    at, lifted = world.clock, None
    _use(world)
    if random.random() < 0.6:
        world.event("resumed", target)
        lifted = world.clock
    world.causes.append(Cause("suspended", target, at, lifted))


def _close(world: World) -> None:
    """Say when each line arrives, and what each use was."""
    random = world.random
    most = random.choice((1, COPIES, COPIES))
    late = random.choice((60, HOUR, 3 * HOUR, 6 * HOUR))
    first: dict[str, float] = {}
    for at, body, _ in world.events:
        first[body["id"]] = (
            at
            + random.random()
            + (random.random() * late if random.random() < 0.6 else random.random() * 5)
        )
    _keep_orders(world, first)
    for at, body, _ in world.events:
        begin = first[body["id"]]
        copies = COPIES if most == COPIES and random.random() < 0.5 else 1
        more = [begin + random.random() * late for _ in range(copies - 1)]
        world.lines.append(Line(at, body, (begin, *more)))
    denied = {b["id"] for _, b, _ in world.events if b.get("outcome") == "denied"}
    for thing, event_id, presented, point, at in world.pending:
        outcome = "denied" if event_id in denied else "allowed"
        dead, declared = world.dead_since(thing, at), thing in world.tokens
        world.uses.append(Use(event_id, presented, point, outcome, at, dead, declared))


def _keep_orders(world: World, first: dict[str, float]) -> None:
    """Move arrivals where without that order the answer of the time is another."""
    issued: dict[str, float] = {}
    named: dict[str, float] = {}
    resumed: list[tuple[str, int, float]] = []
    for at, body, _ in world.events:
        name = next(
            body[k] for k in ("token", "agent", "person", "session") if k in body
        )
        arrival = first[body["id"]]
        if body["type"] == "issued" and "session" not in body:
            issued[name] = arrival
        elif body["type"] in ("issued", "linked"):
            first[body["id"]] = arrival = max(arrival, issued[name] + 1)
            if "session" in body:
                named[body["session"]] = arrival
        elif body["type"] == "resumed":
            resumed.append((name, at, arrival))
    for thing, event_id, _, _, at in world.pending:
        names = {one.name for one in thing.closure()}
        for name, end, arrival in resumed:
            if name in names and end <= at:
                first[event_id] = max(first[event_id], arrival + 1)
        body = next(b for _, b, _ in world.events if b["id"] == event_id)
        if "token" in body and "session" in body:
            first[event_id] = max(first[event_id], named[body["session"]] + 1)


def as_line(body: dict[str, Any], start: int) -> bytes:
    """Write an event, its times counted from a start (seconds since 1970)."""
    times = {
        key: datetime.fromtimestamp(start + body[key], UTC).isoformat()
        for key in ("time", "issued")
        if key in body
    }
    return orjson.dumps({**body, **times})
