"""What each vendor gets: its required fields, its limits, its life cycle."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from agents_registry.identifiers import Identifier
from streams.model.findings import LASTING, POSTURE, SUMMARY, FindingKind, Severity
from streams.model.times import DAY, SECOND
from streams.sinks import cef, ocsf, syslog
from streams.sinks.alertmanager import Alertmanager
from streams.sinks.kind_groups import USES
from streams.sinks.links import NOWHERE, Links
from streams.sinks.pagerduty import PagerDuty
from streams.sinks.slack import Slack
from streams.sinks.splunk import Splunk
from streams.stages.notify.deliveries import Activity
from tests.unit.test_sinks_ocsf import USED, a_delivery, a_finding

pytestmark = pytest.mark.unit

LINKS = Links("https://rescind.example")
NOW = USED + 3 * SECOND
SLACK = Slack(url="https://hooks.slack.com/services/T0/B0/hunter2", links=LINKS)
PAGER = PagerDuty(routing_key="hunter2" * 4, links=LINKS)
SPLUNK = Splunk(base="https://splunk.example:8088", token="hunter2", ack=True)
MANAGER = Alertmanager(base="http://am:9093", lifetime=7200 * SECOND, links=LINKS)
EVIL = "<!channel> <http://evil|click> *b* | = \\ \n\x1b[2J"


def body(sink: Any, activity: Activity = Activity.CREATE, **values: Any) -> Any:
    """Give what a sink sends of a finding."""
    return json.loads(sink.request(a_delivery(activity, **values), NOW).body)


def test_slack_gets_blocks_and_a_text_for_notifications() -> None:
    """``text`` is required beside ``blocks``."""
    message = body(SLACK)

    header, said, next_, fields, context = message["blocks"]
    assert message["text"].startswith("[HIGH] Dead credential still accepted at pay")
    assert header["text"]["text"].startswith("Dead credential still accepted")
    assert "Who: agent.id:billing-bot, with vault" in said["text"]["text"]
    assert next_["text"]["text"].startswith("Now: Have vault.accessor:")
    assert "owner: ann@acme.example" in [f["text"] for f in fields["fields"]]
    assert "|Why>" in context["elements"][0]["text"]
    assert len(body(Slack(url=SLACK.url))["blocks"]) == 4


def test_slack_shows_markup_of_others_as_it_is() -> None:
    """Nobody rings the channel, or plants a link, by the name of an agent."""
    message = body(SLACK, point=EVIL, owner=EVIL, message=EVIL)

    assert "<" not in message["text"]
    for block in message["blocks"][:4]:
        texts = [block["text"]] if "text" in block else block["fields"]
        assert {text["type"] for text in texts} == {"plain_text"}


def test_slack_keeps_to_the_lengths_of_block_kit() -> None:
    """150 of a header, 3,000 of a section, 2,000 of a field, ten fields, 50 blocks."""
    message = body(SLACK, point="p" * 9000, owner="o" * 9000, message="m" * 9000)

    assert len(message["blocks"][0]["text"]["text"]) <= 150
    assert len(message["blocks"][1]["text"]["text"]) <= 3000
    assert all(len(f["text"]) <= 2000 for f in message["blocks"][3]["fields"])
    assert len(message["blocks"][3]["fields"]) <= 10


def closing_of(**values: Any) -> tuple[str, str]:
    """Give the title of a closing message, and what it says to do."""
    blocks = body(SLACK, Activity.CLOSE, **values)["blocks"]
    return blocks[0]["text"]["text"], blocks[2]["text"]["text"]


def test_slack_says_of_what_was_put_right_that_nothing_is_to_be_done() -> None:
    """Posture is over when what it told of is so no more."""
    title, now = closing_of(kind=FindingKind.OWNERLESS)

    assert title.startswith("Over: ")
    assert now == "Now: Nothing, it is over."


def test_a_use_that_is_seen_no_more_is_not_put_right() -> None:
    """What it did is still to be looked at."""
    title, now = closing_of(kind=FindingKind.USE_AFTER_REVOCATION)

    assert title.startswith("No more news: ")
    assert "still to be looked at" in now


@pytest.mark.parametrize(
    "kind",
    [k for k in FindingKind if k not in POSTURE | LASTING | USES | {FindingKind.TEST}],
)
def test_what_closes_without_news_is_not_said_to_be_over(kind: FindingKind) -> None:
    """An hour without news is nobody's act; each says what is to be checked."""
    title, now = closing_of(kind=kind)

    assert title.startswith("No more news: ")
    assert "No news came" in now
    assert "not show that anybody handled it" in now
    assert "Unless somebody has" in now
    assert "Nothing, it is over" not in now


@pytest.mark.parametrize("kind", [k for k in FindingKind if k in LASTING])
def test_what_is_forgotten_is_not_said_to_be_over(kind: FindingKind) -> None:
    """After 30 days without news nobody knows."""
    _, late = closing_of(kind=kind, last_seen=USED - 31 * DAY)
    _, soon = closing_of(kind=kind)

    assert "without a sign that it was put right" in late
    assert "without a sign that it was put right" not in soon


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (FindingKind.LEAK, "end it at the system that issued it"),
        (FindingKind.REVOCATION_NOT_APPLIED, "end it at the system that issued it"),
        (FindingKind.CLOSURE_PARTIAL, "did until then is still to be looked at"),
    ],
)
def test_what_is_over_here_is_not_over_elsewhere(kind: FindingKind, left: str) -> None:
    """Rescind denies it; the issuer does not know."""
    assert left in closing_of(kind=kind)[1]


def test_a_source_that_speaks_again_may_have_lost_what_it_kept() -> None:
    """Its gap is a finding of its own."""
    values: dict[str, Any] = {
        "presented": Identifier("source", "okta"), "path": (), "cause_at": None,
    }  # fmt: skip
    said = closing_of(kind=FindingKind.SOURCE_SILENT, **values)[1]

    assert "Look for a finding source_gap" in said


def test_a_lease_that_the_vault_forgot_may_have_an_account() -> None:
    """revoke-force forgets the lease, whether the account is gone or not."""
    lease = Identifier("vault.lease", "database/creds/x/1")
    said = closing_of(kind=FindingKind.REVOCATION_NOT_APPLIED, presented=lease)[1]

    assert "Only the system of its account shows" in said


def test_slack_says_what_to_do_however_long_the_rest_is() -> None:
    """A name out of a log must not push it out of the message."""
    names = ", ".join(f"agent.id:{number:0100}" for number in range(90))
    values: dict[str, Any] = {
        "kind": FindingKind.UNKNOWN_AGENT, "path": (), "cause_at": None,
        "presented": Identifier("realm", "acme"), "message": f"90 agents act: {names}.",
        "address": "a" * 9000, "user_agent": "u" * 9000, "owner": "\N{HORSE}" * 9000,
    }  # fmt: skip
    for kind in (FindingKind.UNKNOWN_AGENT, FindingKind.BLAST_LIMIT):
        blocks = body(SLACK, **values | {"kind": kind})["blocks"]

        assert blocks[2]["text"]["text"].startswith("Now: ")
        assert "`rescind" in blocks[2]["text"]["text"]
        assert len(blocks[2]["text"]["text"]) < 3000


def test_pagerduty_is_triggered_and_resolved_by_one_key() -> None:
    """An update joins the alert; its end needs no payload."""
    events = [body(PAGER, activity) for activity in Activity]

    assert {event["dedup_key"] for event in events} == {a_finding().id}
    actions = [event["event_action"] for event in events]
    assert actions == ["trigger", "trigger", "resolve"]
    assert set(events[2]) == {"routing_key", "dedup_key", "event_action"}
    assert events[0]["links"][0]["text"] == "Why"


@pytest.mark.parametrize("severity", Severity)
def test_pagerduty_gets_a_summary_a_source_and_a_severity(severity: Severity) -> None:
    """Required of a trigger, with their limits."""
    for point in ("", "payments-api", "p" * 3000):
        event = body(PAGER, severity=severity, point=point, owner="o" * 3000)

        payload = event["payload"]
        assert 0 < len(payload["summary"]) <= 1024
        assert payload["source"]
        assert payload["severity"] in {"critical", "error", "warning", "info"}
        assert len(event["dedup_key"]) <= 255


def test_splunk_gets_the_event_with_its_time() -> None:
    """Seconds with milliseconds; fields are flat."""
    request = SPLUNK.request(a_delivery(), NOW)
    wrapped = json.loads(request.body)

    assert request.url == "https://splunk.example:8088/services/collector/event"
    assert request.headers["authorization"] == "Splunk hunter2"
    assert wrapped["time"] == USED / 1e9
    assert wrapped["event"]["class_uid"] == 2004
    assert all(isinstance(value, str) for value in wrapped["fields"].values())
    assert "index" not in wrapped
    named = Splunk(base="https://s:8088", token="t", index="soc")
    assert body(named)["index"] == "soc"


def test_splunk_is_asked_until_the_event_is_indexed() -> None:
    """In the channel in which it numbered it."""
    question = SPLUNK.question(b'{"text": "Success", "code": 0, "ackId": 7}')

    assert question is not None
    assert question.url.endswith(f"/services/collector/ack?channel={SPLUNK.channel}")
    assert json.loads(question.body) == {"acks": [7]}
    assert question.headers["x-splunk-request-channel"] == SPLUNK.channel
    assert SPLUNK.settled(b'{"acks": {"7": true}}')
    for answer in (b'{"acks": {"7": false}}', b'{"acks": {}}', b"no", b"[]"):
        assert not SPLUNK.settled(answer)
    assert Splunk(base="https://s:8088", token="t").question(b"{}") is None


def test_splunk_is_told_nothing_of_the_token_but_the_token() -> None:
    """The channel stands in a URL, which collectors and proxies log."""
    exchanged = attrs.evolve(SPLUNK, token="hunter3")

    assert exchanged.channel == SPLUNK.channel
    assert attrs.evolve(SPLUNK, name="second").channel != SPLUNK.channel


def test_alertmanager_gets_one_identity_from_first_to_last() -> None:
    """Labels never change; the count and the end are told beside them."""
    alerts = [
        body(MANAGER, activity, count=count)[0]
        for activity, count in zip(Activity, (1, 7, 9), strict=True)
    ]

    assert alerts[0]["labels"] == alerts[1]["labels"] == alerts[2]["labels"]
    assert alerts[0]["labels"]["alertname"]
    assert [alert["annotations"]["count"] for alert in alerts] == ["1", "7", "9"]
    assert all(value for value in alerts[0]["annotations"].values())
    assert alerts[0]["generatorURL"].startswith("https://rescind.example/v1/why/")


def test_alertmanager_fires_for_its_lifetime_and_ends_now() -> None:
    """Counted from the attempt, however old the message is."""
    fires, over = body(MANAGER)[0], body(MANAGER, Activity.CLOSE)[0]

    assert fires["startsAt"] == "2025-11-24T16:00:42Z"
    assert fires["endsAt"] == "2025-11-24T18:00:45Z"
    assert over["endsAt"] == "2025-11-24T16:00:45Z"
    bare = Alertmanager(base="http://am:9093", lifetime=1, token="hunter2")
    request = bare.request(a_delivery(), NOW)
    assert request.headers["authorization"] == "Bearer hunter2"
    assert "generatorURL" not in json.loads(request.body)[0]


def test_cef_escapes_what_would_end_a_field() -> None:
    """Bar and backslash in the header, equals sign and backslash in the extension."""
    line = cef.line(a_delivery(point=EVIL, owner="a=b\\c|d"), NOWHERE, "1|0")

    whole = line.replace("1\\|0", "1.0")
    header, extension = whole.split("|")[:7], whole.split("|", 7)[7]
    assert header[:4] == ["CEF:0", "Rescind", "Rescind", "1.0"]
    assert header[4:] == ["use_after_revocation", "Dead credential still accepted", "8"]
    assert "cs2Label=owner cs2=a\\=b\\\\c|d" in extension
    assert "\n" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize("form", ["cef", "json"])
def test_syslog_has_the_header_of_rfc_5424(form: Any) -> None:
    """Facility 10; at most six digits of a second; no structured data."""
    delivery = a_delivery(severity=Severity.CRITICAL)
    layout = syslog.SyslogLayout(form=form, hostname="soc 1\n")

    text = syslog.message(delivery, layout).decode()

    head, _, said = text.partition(" - use_after_revocation - ")
    assert head == "<82>1 2025-11-24T16:00:42Z soc1 rescind"
    assert said.startswith("CEF:0|" if form == "cef" else "{")


def test_syslog_counts_the_bytes_of_a_frame() -> None:
    """RFC 6587 section 3.4.1: octets, not characters."""
    assert syslog.frame("é".encode()) == b"2 \xc3\xa9"


@pytest.mark.parametrize("sink", [SLACK, PAGER, SPLUNK, MANAGER])
def test_no_sink_shows_its_secret(sink: Any) -> None:
    """Neither its repr nor that of a request."""
    assert "hunter2" not in repr(sink)
    assert "hunter2" not in repr(sink.request(a_delivery(), NOW))


def test_an_alert_leads_to_its_finding_in_the_console() -> None:
    """First of all links, also where no other address is named; a test has none."""
    console = "https://r.example/console"
    links, found = Links(console=console), a_finding(realm="a&b")
    page = f"{console}/findings/{found.id}?realm=a%26b"

    assert links.of(found) == {"Console": page}
    assert links.first(found) == page
    assert [*Links("https://r.example", console).of(found)][:2] == ["Console", "Why"]
    assert LINKS.first(found) == LINKS.why(found)
    assert NOWHERE.first(found) == ""
    many = a_finding(presented=Identifier(SUMMARY, "default"))
    assert links.first(many).startswith(f"{console}/findings?state=new&realm=")
    assert links.of(a_finding(kind=FindingKind.TEST)) == {}


def test_links_hold_nothing_of_others_as_it_is() -> None:
    """A name cannot leave its place in the path."""
    odd = Identifier("agent.id", "../x?y=<z>|\n#")
    links = LINKS.of(a_finding(presented=odd, path=(), realm="a&b"))

    assert links["Why"] == (
        "https://rescind.example/v1/why/agent.id%3A..%2Fx%3Fy%3D%3Cz%3E%7C%0A%23"
        "?realm=a%26b"
    )
    assert NOWHERE.of(a_finding()) == {}
    assert ocsf.DEFAULT.links is NOWHERE


def test_every_sink_links_a_summary_to_the_list_of_its_findings() -> None:
    """There is no verdict on many names at once."""
    summary = Identifier(SUMMARY, "acme")
    for sink in (SLACK, PAGER, SPLUNK, MANAGER):
        body(sink, presented=summary, path=())

    event = body(PAGER, presented=summary, path=())
    assert event["client_url"] == "https://rescind.example/v1/findings"


@pytest.mark.parametrize(
    ("kind", "listed"),
    [("source", "sources"), ("guard", "guards"), ("realm", "inventory")],
)
def test_what_has_no_verdict_links_to_a_list(kind: str, listed: str) -> None:
    """Sources, guards and realms are nobody's credential."""
    links = LINKS.of(a_finding(presented=Identifier(kind, "x"), path=()))

    assert links == {listed.title(): f"https://rescind.example/v1/{listed}"}
