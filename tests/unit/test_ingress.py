"""Canonical records become facts, and the rights of an authority decide."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.death import death
from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.model.records import Access, DeadLetter, Lifecycle, Parent, Record, Tie
from streams.services.intake import MANY, many
from streams.stages.ingest.admission import Admission, Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.unit

KEY = Identifier("aws.access_key", "AKIAEXAMPLE000000001")
OTHER = Identifier("secret", "00ff")
USER = Identifier("aws.user", "arn:aws:iam::111122223333:user/builder")
ROLE = Identifier("aws.role", "arn:aws:iam::111122223333:role/r")
ORIGIN = Origin("aws", "default", 1000, "key-1", 3)
AWS = Entitlements((Grant("aws.*"), Grant("secret")))
REQUIRES = Relation.REQUIRES


def lifecycle(effect: str | None, **more: Any) -> Lifecycle:
    """Give a record on KEY at time 500."""
    values: dict[str, Any] = {"event_id": "e1", "occurred_at": 500, "offset": 0}
    values |= {"identifiers": (KEY,)} | more
    return Lifecycle("cloudtrail", event_type="T", effect=effect, **values)


def access(**more: Any) -> Access:
    """Give an allowed use of KEY at time 600."""
    values: dict[str, Any] = {"occurred_at": 600, "outcome": "allowed", "offset": 0}
    values |= {"event_id": "e2", "identifiers": (KEY,)} | more
    return Access("cloudtrail", event_type="T", **values)


def cause_of(record: Lifecycle) -> Cause:
    """Give the one cause of a record."""
    (cause,) = (f for f in facts_of(record, ORIGIN) if isinstance(f, Cause))
    return cause


def admitted(*records: Record, rights: Entitlements = AWS) -> Admission:
    """Admit records."""
    return admit(records, ORIGIN, rights, fresh="batch")


def test_issue_states_node_names_parents_owner_expiry_and_scope() -> None:
    """An issue gives every fact that its record holds, in a fixed order."""
    record = lifecycle(
        "issue",
        identifiers=(KEY, OTHER),
        parents=(Parent(*USER, Relation.REQUIRES),),
        owners=(USER,),
        scope=("aws|s3:*",),
        expires_at=900,
        ties=(Tie(USER, ROLE, Relation.CREATED_BY),),
    )
    facts = facts_of(record, ORIGIN)

    assert [Node, Node, Alias, Edge, Edge, OwnerSet, Renewal, ScopeSet] == [
        type(fact) for fact in facts
    ]
    assert {500} == {fact.version for fact in facts}
    assert {("aws", "key-1", 3, 1000, "e1")} == {
        (f.authority, f.ingress_key, f.settings, f.received_at, f.event_id)
        for f in facts
    }


@pytest.mark.parametrize(
    ("effect", "target", "expected"),
    [
        ("revoke", KEY, (Effect.REVOKE, Reach.SUBTREE, None)),
        ("rotate", KEY, (Effect.REVOKE, Reach.SELF, None)),
        ("suspend", KEY, (Effect.SUSPEND, Reach.SUBTREE, None)),
        ("narrow", KEY, (Effect.NARROW, Reach.SUBTREE, None)),
        ("not_before", KEY, (Effect.NOT_BEFORE, Reach.SUBTREE, None)),
        ("delete_subject", KEY, (Effect.REVOKE, Reach.SUBTREE, None)),
        ("revoke", ROLE, (Effect.NOT_BEFORE, Reach.SUBTREE, None)),
        ("delete_subject", USER, (Effect.NOT_BEFORE, Reach.SUBTREE, None)),
    ],
)
def test_endings_become_causes(
    effect: str, target: Identifier, expected: tuple[Effect, Reach, int | None]
) -> None:
    """Each effect has its cause; a name that is given again gets a not_before."""
    cause = cause_of(lifecycle(effect, identifiers=(target,)))

    assert expected == (cause.effect, cause.reach, cause.not_before)
    assert (target, 500) == (cause.target, cause.at)


def test_a_watermark_keeps_its_own_time() -> None:
    """not_before T is the event's T, not the time of the event."""
    assert cause_of(lifecycle("not_before", not_before=400)).not_before == 400


def test_suspend_and_restore_name_their_aspect() -> None:
    """A lift ends only what it names."""
    (lift,) = facts_of(lifecycle("restore", aspect="key"), ORIGIN)

    assert isinstance(lift, Lift)
    assert "key" == lift.aspect == cause_of(lifecycle("suspend", aspect="key")).aspect


@pytest.mark.parametrize("effect", ["revoke", "issue", "restore"])
def test_a_failed_call_states_nothing(effect: str) -> None:
    """A refused request to revoke must not revoke."""
    assert facts_of(lifecycle(effect, outcome="denied"), ORIGIN) == ()


def test_a_repeat_gives_the_same_ids_and_other_content_other_ids() -> None:
    """Receive time and ingress key do not tell facts apart, content does."""
    later = Origin("aws", "default", 2000, "key-2", 4)
    record = lifecycle("revoke")

    def ids(record: Lifecycle, origin: Origin) -> list[bytes]:
        return [fact_id(fact) for fact in facts_of(record, origin)]

    assert ids(record, ORIGIN) == ids(record, later)
    assert ids(record, ORIGIN) != ids(lifecycle("suspend"), ORIGIN)


def test_an_event_without_id_and_time_is_never_a_repeat() -> None:
    """Two such events of one batch, and of two batches, are four facts."""
    bare = lifecycle("revoke", event_id=None, occurred_at=None)
    batches = [admit([bare, bare], ORIGIN, AWS, fresh=name) for name in ("a", "b")]

    facts = [fact for batch in batches for fact in batch.facts]
    assert len({fact_id(fact) for fact in facts}) == 4
    assert all(fact.stamped and fact.version == 1000 for fact in facts)


def test_every_use_of_a_credential_states_the_same_facts() -> None:
    """Lineage read off uses collapses, whatever their times and ids."""
    parents = (Parent(*USER, Relation.REQUIRES),)
    uses = [access(event_id=str(n), occurred_at=n, parents=parents) for n in range(5)]
    facts = [fact for use in uses for fact in facts_of(use, ORIGIN)]

    assert len({fact_id(fact) for fact in facts}) == 2
    assert {None} == {fact.event_id for fact in facts}
    assert all(getattr(fact, "derived", True) for fact in facts)


def test_a_use_makes_known_only_where_the_issuer_logs_it() -> None:
    """CloudTrail's owner is the issuer; a proxy's log is not."""
    issuer = Origin("aws", "default", 1000, issuer_log=True)
    (known,) = facts_of(access(), issuer)
    (unknown,) = facts_of(access(), ORIGIN)

    assert isinstance(known, Node)
    assert isinstance(unknown, Node)
    assert (False, True) == (known.derived, unknown.derived)


def test_a_refused_use_states_nothing() -> None:
    """A presentation that was denied says nothing of lineage."""
    assert facts_of(access(outcome="denied"), ORIGIN) == ()


@pytest.mark.parametrize(
    ("kinds", "stated"),
    [
        (("aws.*",), [Node, Edge]),
        (("aws.access_key",), [Node, Edge]),
        (("aws.user",), []),
        ((), []),
    ],
)
def test_a_log_states_no_lineage_of_what_is_not_its_owners(
    kinds: tuple[str, ...], stated: list[type[Fact]]
) -> None:
    """The use counts all the same: whoever shows it may have seen it."""
    rights = Entitlements(tuple(map(Grant, kinds)))
    use = access(parents=(Parent(*USER, REQUIRES),))
    result = admitted(use, lifecycle("leak"), rights=rights)

    facts = [fact for fact in result.facts if fact.event_id is None]
    assert stated == [type(fact) for fact in facts]
    assert 1 == len(result.accesses)
    assert 2 == result.accepted


def test_refuses_a_kind_that_was_not_granted() -> None:
    """The whole record stays out and is a finding and a dead letter."""
    result = admitted(lifecycle("revoke"), rights=Entitlements((Grant("vault.*"),)))

    assert result.facts == []
    assert ["unauthorised"] == [signal["kind"] for signal in result.signals]
    assert result.dead_letters[0].reason.startswith("unauthorised: aws may not")


@pytest.mark.parametrize(
    ("identifiers", "effect", "said"),
    [
        ((OTHER,), "revoke", "nothing of it was taken in"),
        ((KEY, OTHER), "revoke", "what of it can only deny was taken in"),
        ((KEY, OTHER), "issue", "nothing of it was taken in"),
    ],
)
def test_a_refusal_says_what_was_said_and_whether_a_part_of_it_denies(
    identifiers: tuple[Identifier, ...], effect: str, said: str
) -> None:
    """Who reads the alert must know whether something is denied by it."""
    record = lifecycle(effect, identifiers=identifiers)
    result = admitted(record, rights=Entitlements((Grant("aws.*"),)))

    (signal,) = result.signals
    refused, _, taken = signal["detail"].partition("; ")
    assert refused.startswith(f"{record.event_type}: aws may not speak of ")
    assert refused.endswith(OTHER.kind)
    assert said == taken
    assert bool(result.facts) is said.startswith("what")


def test_refuses_a_qualifier_that_was_not_granted() -> None:
    """A grant for one account says nothing of another's user."""
    rights = Entitlements((Grant("aws.user", "arn:aws:iam::999999999999:"),))
    result = admitted(lifecycle("suspend", identifiers=(USER,)), rights=rights)

    assert result.facts == []


def test_keeps_the_cause_of_a_record_with_a_refused_name() -> None:
    """A foreign alias costs the alias and the grants, never the revocation."""
    rights = Entitlements((Grant("aws.*"),))
    end = admitted(lifecycle("revoke", identifiers=(KEY, OTHER)), rights=rights)
    start = admitted(lifecycle("issue", identifiers=(KEY, OTHER)), rights=rights)

    assert [Cause] == [type(fact) for fact in end.facts]
    assert start.facts == []


def test_a_reusable_name_is_no_other_name_of_an_id() -> None:
    """The id requires the name, one way: its end is not the end of the name."""
    (edge,) = (
        fact
        for fact in facts_of(lifecycle("issue", identifiers=(KEY, USER)), ORIGIN)
        if not isinstance(fact, Node)
    )
    assert isinstance(edge, Edge)
    assert (KEY, USER) == (edge.child, edge.parent)
    said = list(facts_of(lifecycle("issue", identifiers=(USER, KEY)), ORIGIN))
    assert not any(isinstance(fact, Alias) for fact in said)
    (edge,) = (fact for fact in said if isinstance(fact, Edge))
    assert (KEY, USER) == (edge.child, edge.parent)


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        ({"owners": (USER,)}, []),
        ({"expires_at": 900}, []),
        ({"scope": ("aws|s3:*",)}, []),
        ({"parents": (Parent(*USER, REQUIRES),)}, []),
        ({"effect": "revoke", "owners": (USER,)}, []),
        ({"effect": "restore"}, []),
        ({"effect": "revoke", "identifiers": (USER, KEY)}, [Cause]),
        ({"effect": "restore", "identifiers": (USER, KEY)}, []),
        ({"identifiers": (USER,), "ties": (Tie(KEY, USER, REQUIRES),)}, []),
        ({"identifiers": (USER,), "ties": (Tie(USER, KEY, REQUIRES),)}, [Edge]),
    ],
)
def test_each_fact_of_a_record_is_entitled(
    said: dict[str, Any], stays: list[type[Fact]]
) -> None:
    """Whatever a record says of a name that is not its authority's stays out.

    Of a record that is in part its authority's the denials stay, and no grant.
    """
    rights = Entitlements((Grant("aws.user"),))
    values: dict[str, Any] = {"effect": None} | said
    facts = admitted(lifecycle(**values), rights=rights).facts

    assert stays == [type(f) for f in facts if not isinstance(f, Node)]


def test_alias_needs_both_names() -> None:
    """An alias to a kind that is not granted would let one authority end another's."""
    facts: list[Fact] = admitted(
        lifecycle(None, identifiers=(KEY, OTHER)),
        rights=Entitlements((Grant("aws.*"),)),
    ).facts

    assert facts == []


def test_a_revocation_that_names_nothing_is_a_critical_finding() -> None:
    """It is answered, and never silent."""
    result = admitted(lifecycle("revoke", identifiers=()))

    assert ["revocation_not_applied"] == [signal["kind"] for signal in result.signals]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            lifecycle("issue", identifiers=(Identifier("aws.user", "x" * 257),)),
            "value_too_long",
        ),
        (
            lifecycle(
                "issue",
                identifiers=tuple(
                    Identifier("aws.access_key", str(n)) for n in range(17)
                ),
            ),
            "too_many",
        ),
        (
            lifecycle(
                "issue",
                parents=tuple(
                    Parent("aws.user", str(n), Relation.REQUIRES) for n in range(65)
                ),
            ),
            "too_many",
        ),
        (
            lifecycle(
                "issue",
                labels=tuple(Identifier("label.tag", str(n)) for n in range(65)),
            ),
            "too_many",
        ),
    ],
)
def test_bounds_what_one_event_may_say(record: Lifecycle, reason: str) -> None:
    """Long values and long lists make nothing known."""
    result = admitted(record)

    assert not [fact for fact in result.facts if isinstance(fact, Node)]
    assert [reason] == [
        letter.reason.partition(":")[0] for letter in result.dead_letters
    ]


def some(kind: str, number: int) -> tuple[Identifier, ...]:
    """Give so many names."""
    return tuple(Identifier(kind, str(n)) for n in range(number))


def test_bounds_the_owners_of_one_set() -> None:
    """Its edges still get in, and the event beside it; 64 owners are a set."""
    owners = some("aws.user", 65)
    parents = (Parent("aws.user", "builder", Relation.REQUIRES),)
    rich = lifecycle("issue", owners=owners, parents=parents)
    result = admitted(rich, lifecycle("issue", owners=owners[:-1], event_id="e9"))

    assert [64] == [len(f.owners) for f in result.facts if isinstance(f, OwnerSet)]
    assert [KEY] == [f.child for f in result.facts if isinstance(f, Edge)]
    assert ["too_many"] == [
        letter.reason.partition(":")[0] for letter in result.dead_letters
    ]


def test_bounds_what_a_use_presents() -> None:
    """The lines beside it are taken in; 64 identifiers are one presentation."""
    names = some("aws.access_key", 65)
    lines = [access(identifiers=names), access(identifiers=names[:-1], event_id="e9")]
    result = admitted(*lines)

    assert ["e9"] == [use.event_id for use in result.accesses]
    assert ["too_many"] == [
        letter.reason.partition(":")[0] for letter in result.dead_letters
    ]


@pytest.mark.parametrize("field", ["parents", "ties"])
def test_bounds_the_lineage_that_a_use_tells(field: str) -> None:
    """The use itself is taken in, and a dead letter says what is left out."""
    parents = tuple(
        Parent("aws.user", each.value, REQUIRES) for each in some("aws.user", 600)
    )
    ties = tuple(
        Tie(each, Identifier("aws.user", "x"), REQUIRES)
        for each in some("aws.user", 600)
    )
    more = {"parents": parents} if field == "parents" else {"ties": ties}
    result = admitted(access(**more))

    assert ([], 1) == (result.facts, len(result.accesses))
    assert ["too_many"] == [
        letter.reason.partition(":")[0] for letter in result.dead_letters
    ]


def test_bounds_the_ties_of_one_event() -> None:
    """Whatever else it says, edges without end are not taken in."""
    ties = tuple(
        Tie(each, Identifier("aws.user", "x"), REQUIRES)
        for each in some("aws.user", 600)
    )
    result = admitted(lifecycle("revoke", ties=ties))

    assert [Cause] == [type(fact) for fact in result.facts]
    assert ["too_many"] == [
        letter.reason.partition(":")[0] for letter in result.dead_letters
    ]


def test_a_cause_passes_every_bound_on_lists() -> None:
    """Too many names do not save the credential."""
    names = (KEY, *(Identifier("aws.access_key", str(n)) for n in range(20)))

    assert [Cause] == [
        type(fact) for fact in admitted(lifecycle("revoke", identifiers=names)).facts
    ]


def test_a_cause_on_an_overlong_name_is_a_critical_finding() -> None:
    """What cannot be written cannot be applied, and somebody must hear of it."""
    long = Identifier("aws.access_key", "x" * 300)
    result = admitted(lifecycle("revoke", identifiers=(long,)))

    assert ["revocation_not_applied"] == [signal["kind"] for signal in result.signals]


def test_a_leak_is_a_finding_and_no_fact() -> None:
    """Policy decides what a leak does."""
    result = admitted(lifecycle("leak"))

    assert result.facts == []
    assert [("leak", list(KEY))] == [
        (signal["kind"], signal["presented"]) for signal in result.signals
    ]


def test_a_password_that_is_set_again_ends_the_end_before_it() -> None:
    """The name of a console password is issued more than once: no final revoke."""
    profile = Identifier("aws.login_profile", USER.value)
    registry = Registry.build([
        fact
        for effect, at in (("issue", 10), ("revoke", 20), ("issue", 30))
        for fact in facts_of(
            lifecycle(effect, identifiers=(profile,), occurred_at=at, event_id=str(at)),
            ORIGIN,
        )
    ])  # fmt: skip

    assert [None, "suspend", None] == [
        dead and dead.cause.effect.value
        for dead in (death(registry, profile, at=at) for at in (15, 25, 35))
    ]


def test_a_password_set_by_a_broken_clock_ends_no_end() -> None:
    """Only what surely came later may turn a denial into an allow."""
    profile = Identifier("aws.login_profile", USER.value)
    issued = lifecycle("issue", identifiers=(profile,), occurred_at=None)

    assert not [fact for fact in facts_of(issued, ORIGIN) if isinstance(fact, Lift)]


def test_what_names_much_is_many_however_few_records_it_is() -> None:
    """A single event may state hundreds of edges; one with a name is not many."""
    name = Identifier("vault.accessor", "a1")
    one = Lifecycle("s", "e1", "t", "create", 1, (name,), 0)
    tie = Tie(name, name, Relation.REQUIRES)

    assert not many([one])
    assert not many([one] * (MANY // 2))
    assert many([one] * (MANY // 2 + 1))
    assert many([one._replace(ties=(tie,) * MANY)])
    assert many([one._replace(owners=(name,) * MANY)])
    assert not many([DeadLetter("s", 0, 1, "r")] * MANY)
