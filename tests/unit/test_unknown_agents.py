"""Agents that act and that nobody declared: one finding each, whatever they present."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import pytest

from agents_registry.facts import Alias, Cause, Edge, Effect, Fact, Node
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import FindingKind
from streams.sinks import wording
from streams.stages.access.agent_kinds import ActingKinds, Choice
from streams.stages.access.caller import Caller
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent
from streams.stages.posture.posture import Limits
from streams.stages.sentinel import acted as acted_module
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel import unknown_agents as unknown_agents_module
from streams.stages.sentinel.acted import Acted, AgentUse
from streams.stages.sentinel.episode import Episode
from streams.stages.sentinel.liveness_index import LivenessIndex
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from streams.stages.sentinel.undeclared import Unknown, UnknownCredentials
from tests.noted import note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.model.findings import Finding
    from streams.stages.sentinel.step import Outputs

pytestmark = pytest.mark.unit

S = 1_000_000_000
SETTLE = 60
COMMON: dict[str, Any] = {"authority": "idp", "version": 1, "received_at": 1}
KINDS = {"gateway.token": "credential", "gateway.agent": "principal"}
TOLD = Identifier("agent.id", "declared")
ANN = Identifier("person.id", "ann")


def name(number: int, kind: str = "agent.id") -> Identifier:
    """Give a name of an agent."""
    return Identifier(kind, f"a-{number}")


def token(number: object) -> Identifier:
    """Give a name of a token."""
    return Identifier("jwt.jti", f"t-{number}")


class Watch:
    """A table and a sentinel, with what it told."""

    def __init__(
        self, *, nobody: bool = False, acting: ActingKinds | None = None
    ) -> None:
        """Start with one agent declared, unless nobody is."""
        self.registry = Registry(extend(KINDS))
        self.tolerances = Tolerances(
            0, S, 100_000 * S, 100_000 * S, posture=Limits(settle=SETTLE * S),
            acting=acting or ActingKinds(),
        )  # fmt: skip
        self.sentinel = Sentinel("r", self.tolerances)
        self.now = 1000 * S
        self.findings: dict[str, Episode] = {}
        self.saved: dict[str, bytes | None] = {}
        if not nobody:
            self.declare(TOLD)

    def declare(self, *names: Identifier) -> None:
        """Say that some exist."""
        for each in names:
            self.tell(Node(node=each, **COMMON))

    def tell(self, fact: Fact) -> None:
        """Apply a fact."""
        self.registry.apply(fact)
        note(self.sentinel, fact, 0)

    def end(self, target: Identifier, effect: Effect = Effect.REVOKE) -> None:
        """End something, or limit it, as of now."""
        self.tell(Cause(target=target, effect=effect, at=self.now, **COMMON))

    def use(
        self,
        *names: Identifier,
        point: str = "door",
        agent: Identifier | None = None,
        outcome: str = "allowed",
        event_id: str | None = None,
    ) -> None:
        """Show a use a second later."""
        self.now += S
        by = None if agent is None else Caller("192.0.2.1", "curl", str(agent))
        use = AccessEvent(names, point, outcome, self.now, event_id, caller=by)
        self.keep(finish(self.sentinel.observe([use], self.registry, self.now)))

    def wait(self, seconds: int = SETTLE) -> None:
        """Let time pass."""
        self.now += seconds * S
        while self.sentinel.unsettled(self.now):
            self.keep(finish(self.sentinel.settle(self.registry, self.now)))
        self.keep(finish(self.sentinel.end_declared(self.registry, self.now)))

    def keep(self, outputs: Outputs) -> None:
        """Take in what a step gave, as an engine does."""
        self.findings |= outputs.episodes
        self.saved |= outputs.uses
        # What goes over the topic comes back as it was.
        used = [
            AgentUse.read(orjson.loads(orjson.dumps(u.signal()))) for u in outputs.acted
        ]
        assert used == outputs.acted
        told = finish(self.sentinel.see_agents(used, self.registry, self.now))
        self.findings |= told.episodes

    def restart(self) -> None:
        """Go on from what was saved."""
        self.sentinel = Sentinel("r", self.tolerances)
        self.sentinel.restore((k, v) for k, v in self.saved.items() if v is not None)
        for each in self.findings.values():
            saved = orjson.loads(orjson.dumps(saved_episodes.save(each)))
            self.sentinel.episodes.restore(saved_episodes.load(saved))

    def told(self, *, open_: bool = True) -> list[tuple[str, str]]:
        """Give kind and name of each finding that is open, or over."""
        return sorted(
            (each.finding.kind.value, str(each.finding.presented))
            for each in self.findings.values()
            if each.open is open_
        )

    def finding(self, of: Identifier) -> Finding:
        """Give the one finding about a name."""
        (found,) = (
            e.finding for e in self.findings.values() if e.finding.presented == of
        )
        return found


def unknown(names: Iterable[Identifier]) -> list[tuple[str, str]]:
    """Give what is told of agents."""
    return sorted(("unknown_agent", str(each)) for each in names)


@pytest.mark.parametrize(
    "kind",
    ["agent.id", "jwt.sub", "aws.user", "k8s.service_account", "spiffe.id",
     "gateway.agent", "agent.instance", "keycloak.client", "entra.service_principal"],
)  # fmt: skip
def test_47_agents_of_which_3_are_known_are_44_findings(kind: str) -> None:
    """Whatever names them: each presents its own name alone, twice."""
    watch = Watch(nobody=True)
    watch.declare(*(name(n, kind) for n in range(3)))
    if kind == "agent.instance":
        watch.declare(TOLD)
    for n in [*range(47)] * 2:
        watch.use(name(n, kind))
    assert not watch.findings
    watch.wait()

    wanted = [name(n, kind) for n in range(3, 47)]
    assert watch.told() == unknown(wanted)
    assert {each for each, _ in watch.sentinel.agents.seen()} == {*map(str, wanted)}
    assert watch.finding(wanted[0]).count == 2


@pytest.mark.parametrize("how", ["line", "table"])
def test_5_agents_with_20_short_tokens_at_2_points_are_5_findings(how: str) -> None:
    """Each says with how many tokens and where; no token is told by itself."""
    watch = Watch()
    for agent in range(5):
        for each in range(20):
            one = token(f"{agent}-{each}")
            if how == "table":
                edge = Edge(child=one, parent=name(agent), derived=True, **COMMON)
                watch.tell(edge)
            for point in ("crm", "mail"):
                by = name(agent) if how == "line" else None
                watch.use(one, point=point, agent=by)
    watch.wait(200)

    assert watch.told() == unknown(map(name, range(5)))
    found = watch.finding(name(0))
    assert (found.count, found.point, found.agent) == (40, "", "agent.id:a-0")
    assert found.message == (
        "agent.id:a-0 acted; nobody declared it: seen at 2 points (crm, mail) with 20 "
        "credentials (jwt.jti:t-0-0, jwt.jti:t-0-1, jwt.jti:t-0-10 and 17 more)."
    )


@pytest.mark.parametrize("kind", ["person.id", "okta.user", "entra.upn", "k8s.user"])
def test_people_are_no_agents(kind: str) -> None:
    """Neither alone nor with a token that somebody declared."""
    watch = Watch()
    watch.declare(token(1))
    watch.use(name(1, kind))
    watch.use(token(1), name(1, kind))
    watch.use(token(1), agent=name(1, kind))
    watch.wait()
    assert not watch.findings


def test_a_known_token_of_an_agent_that_nobody_declared_is_told() -> None:
    """By the agent; the token of one that is declared is told by itself if unknown."""
    watch = Watch()
    watch.declare(token("known"))
    watch.tell(Edge(child=token("known"), parent=name(1), **COMMON))
    watch.tell(Edge(child=token("new"), parent=TOLD, **COMMON))
    watch.use(token("known"))
    watch.use(token("new"))
    watch.use(token("nobody's"))
    watch.use(name(2), outcome="denied")
    watch.wait()
    assert watch.told() == sorted([
        *unknown([name(1)]),
        ("unknown_credential", "jwt.jti:t-new"),
        ("unknown_credential", "jwt.jti:t-nobody's"),
    ])  # fmt: skip


def test_a_nearer_agent_that_comes_later_is_asked_about() -> None:
    """What is known of a token is undone by what it comes to hang on."""
    watch = Watch()
    watch.declare(token(1))
    watch.tell(Edge(child=token(1), parent=TOLD, **COMMON))
    for _ in range(2):
        watch.use(token(1))
    watch.tell(Edge(child=token(1), parent=name(1), **COMMON))
    watch.tell(Edge(child=token(2), parent=name(2), **COMMON))
    watch.wait()
    assert not watch.findings

    watch.tell(Edge(child=token(1), parent=Identifier("agent.id", "b"), **COMMON))
    watch.declare(token(3))
    watch.use(token(3))
    watch.tell(Edge(child=token(3), parent=name(3), **COMMON))
    watch.use(token(3))
    watch.wait()
    assert watch.told() == unknown([name(3)])


def test_of_a_dead_token_it_is_asked_once_until_it_hangs_on_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Someone goes on with it, for thousands of lines, and nobody declares it anew."""
    watch, asked = Watch(), list[AccessEvent]()
    unknown_of = UnknownCredentials.unknown

    def counted(
        own: UnknownCredentials, use: AccessEvent, registry: Registry
    ) -> Unknown | None:
        asked.append(use)
        return unknown_of(own, use, registry)

    monkeypatch.setattr(UnknownCredentials, "unknown", counted)
    watch.declare(token(1), token(2))
    watch.tell(Edge(child=token(1), parent=token(2), **COMMON))
    watch.end(token(1))
    watch.use(token(1))
    assert asked
    asked.clear()
    for _ in range(5):
        watch.use(token(1))
    assert asked == []

    watch.tell(Edge(child=token(2), parent=name(3), **COMMON))
    watch.use(token(1))
    watch.wait()
    assert unknown([name(3)])[0] in watch.told()


def test_of_a_dead_token_nothing_is_settled_that_no_fact_would_undo() -> None:
    """What it hangs on is noted once its death is looked at, and not before."""
    watch = Watch()
    watch.declare(token(1))
    watch.end(token(1))
    bits = LivenessIndex(watch.registry)
    lines = AccessColumns.of([AccessEvent((token(1),), "door", None, S, None)])

    def declared() -> bool:
        return bool(finish(bits.look(lines, 0, lambda _: False)).declared[0])

    assert not declared()
    bits.settle(token(1))
    assert not declared()
    finish(bits.death(token(1), S, S))
    bits.settle(token(1))
    assert declared()
    hung = Edge(child=token(1), parent=name(1), **COMMON)
    watch.tell(hung)
    bits.note(hung)
    assert not declared()


def test_what_is_held_survives_a_restart_and_is_told_once() -> None:
    """So does where an agent was seen; a line that comes again is no other use."""
    watch = Watch()
    watch.use(token(1), agent=name(1), event_id="e1")
    watch.use(token(1), agent=name(1), event_id="e1")
    watch.restart()
    watch.wait()
    assert watch.told() == unknown([name(1)])
    assert watch.finding(name(1)).count == 1

    watch.restart()
    watch.use(token(2), agent=name(1), point="mail")
    assert watch.finding(name(1)).count == 2
    assert "2 points (door, mail) with 2 credentials" in watch.finding(name(1)).message


def test_what_was_saved_without_an_address_is_read() -> None:
    """Earlier versions kept none."""
    acted = Acted.none(AgentUse(name(1), "door", "", 1, 2, address="192.0.2.9"))
    saved = acted.plain()

    assert acted == Acted.of(saved)
    assert "at door from 192.0.2.9" == _seen_at(acted, "192.0.2.9").where()
    assert "at door from an unknown address" == _seen_at(acted, None).where()
    assert None is Acted.of(saved[:5]).address


def _seen_at(acted: Acted, address: str | None) -> Acted:
    """Give the same with one use more."""
    acted.take(
        AgentUse(name(1), "door", "", acted.last, acted.last + 1, address=address)
    )
    return acted


@pytest.mark.parametrize("nobody", [True, False])
def test_who_takes_over_knows_what_was_told_and_no_places(*, nobody: bool) -> None:
    """It ends nothing by that, and lists whom the finding is about."""
    watch = Watch(nobody=nobody)
    watch.use(name(1))
    watch.wait()
    told = watch.told()
    for each in watch.findings.values():
        each.agents.clear()
    watch.restart()
    watch.wait()
    assert watch.told() == told
    seen = {agent: acted.words() for agent, acted in watch.sentinel.agents.seen()}
    assert seen == ({} if nobody else {"agent.id:a-1": "seen at 0 points ()"})
    watch.use(name(1), point="mail")
    watch.wait()
    assert [agent for agent, _ in watch.sentinel.agents.seen()] == ["agent.id:a-1"]
    assert (watch.told(), watch.told(open_=False)) == (told, [])


def test_it_is_over_once_the_agent_is_declared() -> None:
    """It is not told any more then, under any of its points."""
    watch = Watch()
    watch.use(name(1))
    watch.wait()
    watch.declare(name(1))
    watch.wait()
    assert (watch.told(), watch.told(open_=False)) == ([], unknown([name(1)]))
    assert not [*watch.sentinel.agents.seen()]
    watch.use(name(1), point="mail")
    watch.wait()
    assert not watch.told()


def test_declared_while_it_was_held_it_is_never_told() -> None:
    """The use may come before the list."""
    watch = Watch()
    watch.use(name(1))
    watch.declare(name(1))
    watch.wait()
    assert not watch.findings


def test_a_first_day_is_one_finding_with_the_list_and_the_command() -> None:
    """Once somebody is declared the rest is told one by one."""
    watch = Watch(nobody=True)
    for n in range(60):
        watch.use(token(n), agent=name(n), point=f"p{n % 2}")
    watch.wait()
    realm = Identifier("realm", "r")
    assert watch.told() == unknown([realm])
    message = watch.finding(realm).message
    assert message.startswith("60 agents act in realm:r, where no agent is declared: ")
    assert "agent.id:a-49, " not in message.partition(" and 10 more")[2]
    listed, seen, rest = message.split("; ")
    placed = seen.count("agent.id:")
    assert (50, True) == (listed.count("agent.id:"), 20 < placed < 50)
    assert listed.endswith(" and 10 more")
    assert seen.endswith(f" and {60 - placed} more")
    assert len(seen) < 2000
    first = (
        "seen: agent.id:a-0 at p0 with jwt.jti:t-0 from 192.0.2.1, agent.id:a-1 at p1 "
    )
    assert seen.startswith(first)
    assert rest.startswith("find out whose each is, and declare those that are ")
    assert len([*watch.sentinel.agents.seen()]) == 60

    watch.restart()
    watch.use(token("x"), agent=name(60))
    watch.wait()
    assert watch.finding(realm).message.startswith("61 agents act")
    watch.declare(name(0), TOLD)
    watch.wait()
    assert watch.told() == unknown(name(n) for n in range(1, 61))
    assert "seen at 1 point (p1) with 1 credential" in watch.finding(name(1)).message


def test_an_alert_says_where_when_and_what_to_do() -> None:
    """Also one whose list of names is cut."""
    watch = Watch(nobody=True)
    for n in range(60):
        watch.use(token(n), agent=name(n))
    watch.wait()
    what, who, *_, next_ = wording.lines(watch.finding(Identifier("realm", "r")))
    refused = "None of these uses was refused."
    listed = "60 agents act in realm:r, where no agent is declared."
    assert what == f"{listed} {refused}"
    assert who.endswith(" and 10 more")
    assert "whose each is: `rescind inventory --output json` lists" in next_
    watch.declare(TOLD)
    watch.wait()
    watch.use(token("x"), agent=name(1))
    what, who, _, when, seen, why, next_ = wording.lines(watch.finding(name(1)))
    assert what == f"agent.id:a-1 acted, and no source has declared it. {refused}"
    assert who == "Who: agent.id:a-1"
    assert when.endswith(" UTC, 2 times")
    assert seen == "From: last 192.0.2.1, user agent curl"
    assert why.startswith("Why: Seen at 1 point (door) with 2 credentials")
    assert ', revoke it with `rescind revoke agent.id:a-1 --reason "TEXT"`' in next_
    assert "lines identifier,owners and agent.id:a-1,person.id:NAME. If " in next_


def test_people_that_are_declared_are_no_agent_declared() -> None:
    """A directory that is connected first does not make a flood of it."""
    watch = Watch(nobody=True)
    watch.declare(Identifier("okta.user", "u"), token("known"))
    watch.use(name(1))
    watch.use(name(2))
    watch.wait()
    assert watch.told() == unknown([Identifier("realm", "r")])


def test_which_kinds_act_is_set_in_general_and_at_points() -> None:
    """A kind that was taken out falls back to what is told of its credential."""
    acting = ActingKinds(
        Choice(added=frozenset({"okta.user"}), removed=frozenset({"jwt.sub"})),
        {"hr-*": Choice(added=frozenset({"entra.user", "jwt.sub"}))},
    )
    watch = Watch(acting=acting)
    watch.declare(token(1))
    for point in ("crm", "hr-portal"):
        for kind in ("okta.user", "jwt.sub", "entra.user"):
            watch.use(token(1), agent=Identifier(kind, point), point=point)
    watch.wait()
    assert watch.told() == unknown([
        Identifier("okta.user", "crm"), Identifier("okta.user", "hr-portal"),
        Identifier("jwt.sub", "hr-portal"), Identifier("entra.user", "hr-portal"),
    ])  # fmt: skip


def test_the_agent_that_a_line_names_goes_first() -> None:
    """Then what is presented, an agent before an account, then the nearest above."""
    watch = Watch()
    watch.declare(token(1))
    watch.tell(Edge(child=token(1), parent=name(4), **COMMON))
    watch.use(token(1), name(2, "aws.user"), agent=name(1))
    watch.use(token(1), name(2, "aws.user"), name(3))
    watch.use(token(1))
    watch.use(token(1), agent=Identifier("agent.id", "x" * 256))
    watch.wait()
    assert watch.told() == unknown([name(1), name(3), name(4)])


def test_of_very_many_places_and_agents_the_newest_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody who presents something chooses how much is kept."""
    monkeypatch.setattr(acted_module, "MOST_PLACES", 2)
    monkeypatch.setattr(unknown_agents_module, "MOST_AGENTS", 3)
    watch = Watch(nobody=True)
    for n in range(9):
        watch.use(token(n), agent=name(0))
        watch.use(token(n), agent=name(n))
    watch.wait()
    seen = dict(watch.sentinel.agents.seen())
    assert len(seen) == 3
    first = seen["agent.id:a-0"]
    assert (len(first.credentials), first.more) == (2, 7)
    assert "2 or more credentials" in first.words()


def test_uses_that_are_told_again_are_no_news() -> None:
    """A point that was taken over tells of them again."""
    use = AgentUse(name(1), "door", "jwt.jti:t", 5, 9, 3)
    acted = Acted.none(use)
    assert [acted.take(use), acted.take(use)] == [True, False]
    assert acted.take(use._replace(point="mail"))
    assert not acted.take(use._replace(last=8))
    assert (acted.first, acted.last, acted.times) == (5, 9, 6)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_known_in_bulk_hides_nobody(seed: int) -> None:
    """In random worlds a use is told if and only if one look at it alone says so."""
    random = Random(seed)
    watch = Watch(acting=ActingKinds(points={"p": Choice(added=frozenset({ANN.kind}))}))
    watch.sentinel = Sentinel(
        "r", attrs.evolve(watch.tolerances, posture=Limits(settle=0))
    )
    tokens, agents = [token(n) for n in range(6)], [name(n) for n in range(3)]
    above = [*tokens, *agents, name(7, "aws.user"), name(8, "aws.role"), ANN]
    told, tried, counted = 0, 0, dict[str, int]()
    for _ in range(60):
        one, other = random.choice(above), random.choice(above)
        match random.randrange(6):
            case 0:
                watch.declare(one)
            case 1 if one != other and not one.kind.startswith("agent"):
                watch.tell(Edge(child=one, parent=other, **COMMON))
            case 2 if one.kind == other.kind == "jwt.jti" and one != other:
                watch.tell(Alias(first=one, second=other, **COMMON))
            case 3:
                watch.end(one, random.choice([*Effect][:3]))
            case _:
                names = tuple(random.sample(above, random.choice([1, 1, 2])))
                by = None if random.random() < 0.7 else Caller(agent=str(one))
                use = AccessEvent(
                    names, random.choice("pq"), None, watch.now, None, caller=by
                )
                alone = watch.sentinel._undeclared.unknown(use, watch.registry)
                outputs = finish(
                    watch.sentinel.observe([use], watch.registry, watch.now)
                )
                counts = {
                    each.finding.id: each.finding.count
                    for each in outputs.episodes.values()
                    if each.finding.kind is FindingKind.UNKNOWN_CREDENTIAL
                }
                more = counts.items() - counted.items()  # others are but related anew
                found = bool(outputs.acted or more)
                counted |= counts
                assert found is (alone is not None)
                told, tried = told + found, tried + 1
    assert 0 < told < tried


def test_a_signal_that_is_none_is_refused() -> None:
    """Whoever writes the topic is not believed to write what can be read."""
    for wrong in ({}, {"detail": "7"}, {"detail": "[1]"}, {"detail": "{"}):
        with pytest.raises(ValueError, match=r"no use|values|unexpected|object"):
            AgentUse.read(wrong)


def test_the_kind_lasts_until_the_agent_is_declared() -> None:
    """A job that runs once a week is no new alert each week."""
    watch = Watch()
    watch.use(name(1))
    watch.wait()
    watch.keep(finish(watch.sentinel.expire(watch.now + 8 * 86_400 * S)))
    assert watch.told() == unknown([name(1)])
    assert watch.finding(name(1)).kind is FindingKind.UNKNOWN_AGENT
