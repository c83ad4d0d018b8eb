"""The OCSF event: required fields, stable ids, words for people, no bulk."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.model.findings import SEVERITY, Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.sinks import alert_fields, ocsf, plain_text, wording
from streams.stages.notify.deliveries import Activity, Delivery

pytestmark = pytest.mark.unit

REVOKED = 1_764_000_000 * SECOND
USED = REVOKED + 42 * SECOND
TOKEN = Identifier("vault.accessor", "hmac-token-1")
AGENT = Identifier("agent.id", "billing-bot")
KINDS = pytest.mark.parametrize("kind", FindingKind)
ACTIVITIES = pytest.mark.parametrize("activity", Activity)


def a_finding(**values: Any) -> Finding:
    """Give the finding of a token of an agent that was used 42 s after its end."""
    kind = values.get("kind", FindingKind.USE_AFTER_REVOCATION)
    fields: dict[str, Any] = {
        "id": "0" * 31 + "1",
        "kind": kind,
        "severity": SEVERITY[kind],
        "realm": "acme",
        "presented": TOKEN,
        "point": "payments-api",
        "outcome": "allowed",
        "via": "ancestor",
        "path": (TOKEN, AGENT),
        "cause": "ab" * 32,
        "cause_at": REVOKED,
        "cause_effect": "revoke",
        "owner": "ann@acme.example",
        "first_seen": USED,
        "last_seen": USED,
        "event_ids": ("ev-1",),
        "message": "it was accepted",
    }
    return Finding(**fields | values)


def an_event(activity: Activity = Activity.CREATE, **values: Any) -> dict[str, Any]:
    """Give the event of a finding."""
    return ocsf.event(a_finding(**values), activity, at=USED + 5, uid="m.1")


def a_delivery(activity: Activity = Activity.CREATE, **values: Any) -> Delivery:
    """Give a delivery of a finding."""
    return Delivery(
        id="m.1",
        number=1,
        route="soc",
        activity=activity,
        finding=a_finding(**values),
        created_at=USED,
        next_at=USED,
    )


@KINDS
@ACTIVITIES
def test_has_what_a_detection_finding_requires(
    kind: FindingKind, activity: Activity
) -> None:
    """Class 2004 of OCSF 1.9.0: the required fields, and the type of the activity."""
    event = an_event(activity, kind=kind)

    assert event["class_uid"] == 2004
    assert event["category_uid"] == 2
    assert event["activity_id"] == activity
    assert event["type_uid"] == 200400 + activity
    assert event["time"] == USED // 10**6
    assert event["severity_id"] == SEVERITY[kind]
    assert event["metadata"]["version"] == "1.9.0"
    assert event["metadata"]["product"]["name"] == "Rescind"
    assert event["finding_info"]["uid"] == "0" * 31 + "1"
    assert event["finding_info"]["title"]
    assert event["finding_info"]["analytic"]["type_id"] == 1


@KINDS
def test_has_what_its_objects_require(kind: FindingKind) -> None:
    """An evidence has a user, an API its operation, an observable name and type."""
    event = an_event(kind=kind)

    (evidence,) = event["evidences"]
    # Who holds what leaked did nothing.
    user = evidence if kind is FindingKind.LEAK else evidence["actor"]
    assert user["user"]["uid"] == "billing-bot"
    assert user["user"]["credential_uid"] == TOKEN.value
    if wording.is_use(a_finding(kind=kind)):
        assert evidence["api"]["operation"]
        assert evidence["api"]["service"]["name"] == "payments-api"
    else:
        assert "api" not in evidence  # nothing was presented there
    for observable in event["observables"]:
        assert observable["name"]
        assert observable["type_id"] in {10, 19}
    assert [r["uid"] for r in event["resources"]] == [TOKEN.value, AGENT.value]
    if kind is FindingKind.OWNERLESS:
        assert event["unmapped"]["former_owner"] == "ann@acme.example"
    elif kind is FindingKind.UNKNOWN_CREDENTIAL:  # the owner is the caller's
        assert event["unmapped"]["owner_of_caller"] == "ann@acme.example"
    else:
        assert event["resources"][0]["owner"] == {"name": "ann@acme.example"}


def test_the_actor_of_a_statement_is_whoever_made_it() -> None:
    """The agent that it would end did nothing."""
    event = an_event(kind=FindingKind.BLAST_LIMIT, ended_by="sam@acme.example", path=())

    (evidence,) = event["evidences"]
    assert {"user": {"uid": "sam@acme.example", "type_id": 99, "type": "Speaker"}} == (
        evidence["actor"]
    )
    assert event["observables"] == []


def test_keeps_the_uid_from_create_to_close() -> None:
    """A SIEM updates one finding, and resolves it at the end."""
    events = [an_event(activity) for activity in Activity]

    assert len({event["finding_info"]["uid"] for event in events}) == 1
    assert [event["status_id"] for event in events] == [1, 1, 4]
    assert [event["is_alert"] for event in events] == [True, True, False]


def test_says_what_happened_in_plain_words() -> None:
    """Who, where, with what, how long after, whose, and what to do."""
    event = an_event(via="direct", path=(TOKEN, AGENT), cause_effect="revoke")

    assert event["message"] == " -- ".join(wording.lines(a_finding(via="direct")))
    assert event["message"].startswith(
        "payments-api accepted a token of agent billing-bot, 42 s after it was "
        "revoked. -- Who: agent.id:billing-bot, with vault.accessor:hmac-token-1 -- "
        f"Owner: ann@acme.example -- When: {plain_text.moment(USED)} -- From: unknown"
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {},
            (
                "payments-api accepted a token of agent billing-bot, 42 s after its "
                "ancestor agent.id:billing-bot was revoked."
            ),
        ),
        (
            {"count": 7, "last_seen": REVOKED + 3 * 3600 * SECOND, "via": "direct"},
            (
                "payments-api accepted a token of agent billing-bot 7 times, the last "
                "3 h after it was revoked."
            ),
        ),
        (
            {"path": (), "via": "direct", "cause_effect": "suspend", "point": ""},
            (
                "An unnamed enforcement point accepted a token of an unknown agent, "
                "42 s after it was suspended."
            ),
        ),
        (
            {
                "presented": Identifier("aws.access_key", "AKIA1"),
                "path": (Identifier("aws.user", "arn:aws:iam::1:user/ci"),),
                "cause_effect": "not_before",
                "cause_at": USED + 1,
            },
            (
                "payments-api accepted an access key of arn:aws:iam::1:user/ci, "
                "although its ancestor aws.user:arn:aws:iam::1:user/ci was ended."
            ),
        ),
        (
            {
                "presented": Identifier("okta.api_token", "t1"),
                "path": (),
                "cause_at": None,
                "cause_effect": None,
                "via": "direct",
            },
            (
                "payments-api accepted the api token t1 of an unknown agent, although "
                "it was ended."
            ),
        ),
        (
            {"kind": FindingKind.BLOCKED_ATTEMPT, "via": "direct", "point": "gw"},
            "gw refused a token of agent billing-bot, 42 s after it was revoked.",
        ),
        (
            {"via": "direct", "cause_at": USED},
            (
                "payments-api accepted a token of agent billing-bot, 0 s after it was "
                "revoked."
            ),
        ),
        (
            {
                "path": (TOKEN, Identifier("vault.path", "auth/people/login/ann")),
                "cause_effect": "not_before",
            },
            (
                "payments-api accepted a token of an unknown agent, 42 s after its "
                "ancestor vault.path:auth/people/login/ann was ended. Its source still "
                "honours it; it is denied on purpose."
            ),
        ),
        (
            {"late_by": "source", "told_at": USED + SECOND, "via": "direct"},
            (
                "payments-api accepted a token of agent billing-bot, 42 s after it was "
                f"revoked, and before its source reported that at "
                f"{plain_text.moment(USED + SECOND)}."
            ),
        ),
        (
            {"kind": FindingKind.UNKNOWN_CREDENTIAL, "path": (), "owner": None},
            (
                "payments-api accepted a token, which no source has declared; the log "
                "of payments-api names no caller."
            ),
        ),
        (
            {"kind": FindingKind.ENFORCEMENT_FAILURE, "via": "direct", "point": "gw"},
            (
                "gw accepted a token of agent billing-bot, 42 s after it was revoked, "
                "although its guard had the revocation in time: gw did not ask its "
                "guard or ignored the answer, or the guard only observes there, or the "
                "log is wrong."
            ),
        ),
        (
            {"kind": FindingKind.ENFORCEMENT_LAG, "via": "direct", "count": 3},
            (
                "payments-api accepted a token of agent billing-bot 3 times, the last "
                "42 s after it was revoked: its guard had not applied that yet, or "
                "cannot show that it had."
            ),
        ),
        (
            {"kind": FindingKind.LEAK, "message": "it was found in a repository"},
            "vault.accessor:hmac-token-1 was reported as leaked.",
        ),
    ],
)
def test_words_it_for_every_case(values: dict[str, Any], sentence: str) -> None:
    """Direct or through an ancestor, once or often, with and without a name."""
    assert sentence == wording.lines(a_finding(**values))[0]


def test_says_who_whose_where_from_why_and_what_now() -> None:
    """A line each; the agent is known by the facts, though the token itself ended."""
    finding = a_finding(
        path=(TOKEN,), via="direct", agent="gateway.agent:planner", count=3,
        last_seen=USED + SECOND, address="192.0.2.7", user_agent="curl/8.4",
        ended_by="dana", reason="INC-77", told_at=REVOKED + 58 * SECOND,
        late_by="source",
    )  # fmt: skip

    first, last, ended = map(plain_text.moment, (USED, USED + SECOND, REVOKED))
    *answers, next_ = wording.lines(finding)[1:]
    assert answers == [
        "Who: gateway.agent:planner, with vault.accessor:hmac-token-1",
        "Owner: ann@acme.example",
        f"When: {first} to {last}",
        "From: last 192.0.2.7, user agent curl/8.4",
        (
            f"Why: vault.accessor:hmac-token-1 was revoked at {ended} by dana. Its "
            "source reported that 58 s later. Reason: INC-77."
        ),
    ]
    assert next_.startswith("Now: Have vault.accessor:hmac-token-1 blocked at payments")
    assert "end it at the system that issued it, unless it has ended there" in next_
    assert "find out why the source reported the end so late" in next_
    assert (
        "It has ended at" not in next_
    )  # an operator or its ancestor may have said so
    assert "2025-11-24 16:00:00 UTC" == ended
    details = alert_fields.details(finding)
    assert ("dana", "INC-77") == (details["ended_by"], details["reason"])


@pytest.mark.parametrize(
    "kind",
    [
        FindingKind.USE_AFTER_REVOCATION,
        FindingKind.BLOCKED_ATTEMPT,
        FindingKind.ENFORCEMENT_FAILURE,
        FindingKind.ENFORCEMENT_LAG,
    ],
)
def test_what_is_suspended_is_not_to_be_ended_at_its_issuer(kind: FindingKind) -> None:
    """Who suspended it may give it back; its issuer cannot."""
    said = {
        effect: wording.remedy(a_finding(kind=kind, cause_effect=effect))
        for effect in ("revoke", "suspend", "narrow")
    }

    ends = {effect: re.findall(r"\b(end|suspend|narrow) \S+ at (?=the system)", text)
            for effect, text in said.items()}  # fmt: skip
    assert {"revoke": ["end"], "suspend": ["suspend"], "narrow": ["narrow"]} == ends


def test_an_event_tells_where_a_use_came_from() -> None:
    """An address is an address, and the name of a service is none."""
    (evidence,) = an_event(address="192.0.2.7", user_agent="curl")["evidences"]
    assert {"ip": "192.0.2.7"} == evidence["src_endpoint"]
    assert {"user_agent": "curl"} == evidence["http_request"]
    (evidence,) = an_event(address="ec2.amazonaws.com")["evidences"]
    assert {"hostname": "ec2.amazonaws.com"} == evidence["src_endpoint"]


def test_names_the_findings_about_the_same_credential() -> None:
    """Beside the events that it counts, and told apart from them by their class."""
    related = ("a" * 32, "b" * 32)
    told = an_event(related=related)["finding_info"]["related_events"]

    assert ["ev-1", *related] == [each["uid"] for each in told]
    assert [None, 200401, 200401] == [each.get("type_uid") for each in told]
    assert (
        ", ".join(related)
        == alert_fields.details(a_finding(related=related))["related"]
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42, "42 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_says_spans_as_people_do(seconds: int, text: str) -> None:
    """One unit, rounded down."""
    assert plain_text.span(seconds * SECOND + SECOND - 1) == text


@KINDS
def test_has_a_title_and_words_for_each_kind(kind: FindingKind) -> None:
    """A new kind gets its title when it is made."""
    named = "vault.accessor:hmac-token-1" in wording.title(a_finding(kind=kind))
    assert named is (kind is not FindingKind.TEST)
    assert wording.message(a_finding(kind=kind))


def test_shows_nothing_that_steers_a_terminal() -> None:
    """Names come out of other people's logs; controls and overrides are replaced."""
    evil = "pay\x1b[2J\u202e\nments\x00"
    finding = a_finding(point=evil, owner=evil, message=evil, event_ids=(evil,))

    event = ocsf.event(finding, Activity.CREATE, at=USED, uid="m.1")

    text = json.dumps(event, ensure_ascii=False)
    assert "pay\N{REPLACEMENT CHARACTER}[2J" in event["message"]
    for code in ("\\u001b", "\u202e", "\\n", "\\u0000"):
        assert code not in text


def test_stays_below_twenty_kilobytes() -> None:
    """The longest of everything: ids, path, names, events."""
    names = [Identifier("aws.user", f"{n:04d}" + "é" * 126) for n in range(4096)]
    ids = tuple(f"{n:03d}" + "\N{HORSE}" * 2000 for n in range(100))

    body = ocsf.body(
        a_delivery(
            presented=names[0],
            path=tuple(names),
            event_ids=ids,
            owner="\N{HORSE}" * 9000,
            point="\N{HORSE}" * 9000,
            message="\N{HORSE}" * 9000,
        )
    )

    assert len(body) < 20_000
    json.loads(body)


def test_leaves_the_middle_out_of_a_long_path() -> None:
    """What was presented and what the cause names stay."""
    path = tuple(Identifier("vault.accessor", str(n)) for n in range(40))

    unmapped = an_event(path=path, presented=path[0])["unmapped"]

    assert unmapped["path_length"] == 40
    assert [unmapped["path"][0], unmapped["path"][-1]] == [str(path[0]), str(path[-1])]
    assert len(unmapped["path"]) == 12


def test_makes_no_credential_of_a_principal() -> None:
    """An agent without owner is a finding about the agent."""
    event = an_event(
        kind=FindingKind.OWNERLESS, presented=AGENT, path=(), owner=None, point=""
    )

    assert "credential_uid" not in event["evidences"][0]["actor"]["user"]
    assert "api" not in event["evidences"][0]
    assert event["observables"] == []
    assert "owner" not in event["resources"][0]


def test_tells_no_alert_of_what_is_only_information() -> None:
    """A request in flight is counted, not rung for."""
    assert not an_event(severity=Severity.INFORMATIONAL)["is_alert"]


def test_says_no_cause_where_there_is_none() -> None:
    """An unknown credential was ended by nobody."""
    event = an_event(
        kind=FindingKind.UNKNOWN_CREDENTIAL, cause=None, cause_at=None, path=()
    )

    assert event["unmapped"]["cause"] is None


def test_advises_nothing_where_nothing_is_to_be_done() -> None:
    """An empty advice is left out."""
    assert "remediation" not in an_event(kind=FindingKind.IN_FLIGHT)


def test_gives_the_same_bytes_in_every_attempt() -> None:
    """A repeat that a receiver compares is the message that it had."""
    assert ocsf.body(a_delivery()) == ocsf.body(a_delivery())
    assert json.loads(ocsf.body(a_delivery()))["metadata"]["uid"] == "m.1"


def test_receivers_of_one_layout_share_the_event_that_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thirteen receivers of an alert cost one; another message is another event."""
    made: list[str] = []
    make = ocsf.event

    def counted(finding: Finding, activity: Activity, **more: Any) -> dict[str, Any]:
        made.append(more["uid"])
        return make(finding, activity, **more)

    monkeypatch.setattr(ocsf, "event", counted)
    first = Delivery(
        id="once.1", number=1, route="r0", activity=Activity.CREATE,
        finding=a_finding(), created_at=USED, next_at=USED,
    )  # fmt: skip
    same = {ocsf.body(evolve(first, route=f"r{n}", next_at=n)) for n in range(13)}

    assert (1, ["once.1"]) == (len(same), made)
    for other in (
        evolve(first, activity=Activity.CLOSE),
        evolve(first, finding=a_finding(count=7)),
        evolve(first, created_at=USED + 10**9),
        evolve(first, id="once.2"),
    ):
        assert ocsf.body(other) not in same
    assert ocsf.body(first, ocsf.OcsfLayout(version="1.8.0")) not in same
    assert len(made) == 6
