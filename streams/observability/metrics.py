"""Every metric that Rescind tells, under ``/metrics``: names, labels and their bounds.

Names follow the conventions of Prometheus: one prefix, base units (seconds), and
``_total`` for what only grows. No label ever holds a realm, an identifier, a
credential or what a request brought: each has the bound that `LABELS` gives it, and
values that nobody configured become `OTHER`.

``docs/metrics.md`` is made of this module (`table`), and a test compares the two.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import disable_created_metrics

from streams.observability.metric_labels import LABELS
from streams.observability.metric_types import AnyMetric, Count, Distribution, Gauge

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each counter

# Who tells what: the processes by their commands.
SERVER: Final = "serve"
INGRESS: Final = "ingress"
WORKER: Final = "worker"
NOTIFY: Final = "notify"
PDP: Final = "pdp"
RELAY: Final = "relay"
INSIGHTS: Final = "insights"
CONSOLE: Final = "console"

_ALL = (SERVER, INGRESS, WORKER, NOTIFY, PDP, RELAY, INSIGHTS, CONSOLE)
_GUARDED = (SERVER, WORKER)
_SOURCES = (SERVER, INGRESS)
_ALERTS = (SERVER, NOTIFY)
_CONSOLES = (SERVER, CONSOLE)
_STAGES = (SERVER, WORKER, NOTIFY)

BUILD: Final = Gauge(
    "rescind_build_info",
    "Always 1; the labels say which version runs in which role.",
    ("role", "version"),
    roles=_ALL,
)
CLOCK_OFFSET: Final = Gauge(
    "rescind_clock_offset_seconds",
    "Lead of the machine's clock over its reference (brokers, guards or server); 0 "
    "without a measurement.",
    roles=_ALL,
)
DEAD_LETTERS: Final = Count(
    "rescind_dead_letters",
    "Dead letters: input that could not be read or was refused.",
    roles=(SERVER, INGRESS, WORKER, NOTIFY),
)
LAG: Final = Gauge(
    "rescind_lag_records",
    "Records of the log that are not processed yet.",
    ("stage",),
    roles=_STAGES,
)
LOOP_HOLD: Final = Distribution(
    "rescind_loop_hold_seconds",
    "Delay of a timer of 20 ms, caused by work that held the event loop.",
    ("loop",),
    roles=_ALL,
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

POSITION: Final = Gauge(
    "rescind_position",
    "Position below which everything is applied; of the server: records processed.",
    ("stage", "partition"),
    roles=_STAGES,
)

# Causes, and who enforces them.
PROPAGATION: Final = Distribution(
    "rescind_propagation_seconds",
    "Time from acceptance until every guard had applied it or was fenced.",
    roles=_GUARDED,
    buckets=(
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        30.0,
    ),
)  # fmt: skip
CLOSURES: Final = Count(
    "rescind_closures",
    "Revocations by the state that they reached.",
    ("state",),
    roles=_GUARDED,
)
CLOSURES_WAITING: Final = Gauge(
    "rescind_closures_waiting",
    "Revocations that not every guard enforces yet.",
    roles=_GUARDED,
)
REGISTERED_GUARDS: Final = Gauge(
    "rescind_registered_guards",
    "Guards by mode and lease (`gone`: left within the last hour, in silence).",
    ("mode", "lease"),
    roles=_GUARDED,
)
RECEIPTS_REFUSED: Final = Count(
    "rescind_receipts_refused",
    "Receipts refused, by reason (`lease_too_long`: used, with a shorter lease).",
    ("reason",),
    roles=(*_GUARDED, RELAY),
)
PROBED: Final = Count(
    "rescind_probed",
    "Probes of guards with revoked identifiers, by result.",
    ("result",),
    roles=(SERVER,),
)
PROBE_STALENESS: Final = Gauge(
    "rescind_probe_staleness_seconds",
    "Age of the oldest revocation that a probed guard had not applied.",
    roles=(SERVER,),
)
GUARDS: Final = Gauge("rescind_guards", "Connected guards.", roles=(SERVER, RELAY))
FEEDS_REFUSED: Final = Count(
    "rescind_feeds_refused",
    "Guards that the feed did not let in, by reason.",
    ("reason",),
    roles=(SERVER, RELAY),
)
RELAY_REALMS: Final = Gauge(
    "rescind_relay_realms",
    "Realms that are relayed, and whether guards can get a lease.",
    ("lease",),
    roles=(RELAY,),
)

# The table and the sentinel.
FACTS: Final = Gauge("rescind_facts", "Facts in the log.", roles=(SERVER,))
FACTS_APPLIED: Final = Gauge(
    "rescind_facts_applied", "Facts in the table.", roles=(SERVER,)
)
IDENTIFIERS: Final = Gauge(
    "rescind_identifiers", "Identifiers in the table.", roles=(SERVER,)
)
REMEMBERED_USES: Final = Gauge(
    "rescind_remembered_uses",
    "Uses in memory; a later fact may show that a credential was dead.",
    roles=(SERVER,),
)
IN_FLIGHT: Final = Count(
    "rescind_in_flight_uses",
    "Uses within the grace after a revocation: counted, not reported.",
    roles=_GUARDED,
)
UNDATED: Final = Count(
    "rescind_undated_uses",
    "Uses that name only an account whose older tokens were ended: counted.",
    roles=_GUARDED,
)
FINDINGS: Final = Count(
    "rescind_findings", "Opened findings, by kind.", ("kind",), roles=_GUARDED
)

# Stages on Kafka.
ASSIGNED: Final = Gauge(
    "rescind_assigned_partitions",
    "Partitions assigned to this process.",
    ("stage",),
    roles=(WORKER, NOTIFY),
)
WAITING: Final = Gauge(
    "rescind_waiting",
    "Facts whose descendants are not all listed yet.",
    ("stage",),
    roles=(WORKER,),
)
NOTIFY_OWED: Final = Gauge(
    "rescind_notify_owed",
    "Findings with unsettled messages, which hold back the commit.",
    roles=(NOTIFY,),
)

# Sources.
SOURCE_RECORDS: Final = Count(
    "rescind_source_records",
    "Records of a source, by result.",
    ("source", "result"),
    roles=_SOURCES,
)
SOURCE_REQUESTS: Final = Count(
    "rescind_source_requests",
    "Requests from and to vendors, by result.",
    ("source", "result"),
    roles=_SOURCES,
)
SOURCE_HEARD: Final = Gauge(
    "rescind_source_last_event_timestamp_seconds",
    "Time of the last accepted event; absent before the first one.",
    ("source",),
    roles=_SOURCES,
)
SOURCE_LAG: Final = Gauge(
    "rescind_source_lag_seconds",
    "Time from the newest event of the last batch to its acceptance.",
    ("source",),
    roles=_SOURCES,
)
SOURCE_SILENT: Final = Gauge(
    "rescind_source_silent",
    "1 while a source has been silent for too long.",
    ("source",),
    roles=_SOURCES,
)

# Requests of a fleet on Kafka that another process has to answer.
PASSED_ON: Final = Count(
    "rescind_passed_on",
    "Requests that another process had to answer, by result.",
    ("result",),
    roles=(INGRESS, WORKER, NOTIFY, INSIGHTS),
)

# The console.
CONSOLE_PAGES: Final = Count(
    "rescind_console_pages",
    "Pages that were asked for, by what came of them (`failed`: 5xx).",
    ("page", "result"),
    roles=_CONSOLES,
)
CONSOLE_PAGE_SECONDS: Final = Distribution(
    "rescind_console_page_seconds",
    "Time until the content of a page was made, or the first part of it.",
    roles=_CONSOLES,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0),
)
CONSOLE_LOGINS: Final = Count(
    "rescind_console_logins",
    "Tries to log in (`held_back`: not looked at, too many failed before).",
    ("result",),
    roles=_CONSOLES,
)
CONSOLE_SESSIONS: Final = Gauge(
    "rescind_console_sessions",
    "Sessions that are open.",
    roles=_CONSOLES,
)

# Alerts.
ALERTS_WAITING: Final = Gauge(
    "rescind_alerts_waiting",
    "Messages that a receiver has not taken yet.",
    ("receiver",),
    roles=_ALERTS,
)
ALERTS_FAILING: Final = Gauge(
    "rescind_alerts_failing",
    "Waiting messages with a failed attempt.",
    ("receiver",),
    roles=_ALERTS,
)
ALERTS_DISABLED: Final = Gauge(
    "rescind_alerts_disabled",
    "1 while a receiver is disabled, because it answered 410.",
    ("receiver",),
    roles=_ALERTS,
)
ALERTS_OLDEST: Final = Gauge(
    "rescind_alerts_oldest_seconds",
    "Age of the oldest waiting message; 0 if none waits.",
    ("receiver",),
    roles=_ALERTS,
)
ALERTS_ATTEMPTS: Final = Count(
    "rescind_alerts_attempts",
    "Attempts to deliver a message, by result.",
    ("receiver", "result"),
    roles=_ALERTS,
)

# What waits for a second person, and who says too much.
ACTUATED: Final = Gauge(
    "rescind_actuator_identifiers",
    "Identifiers to be ended at their issuer, by actuator and by how far that is.",
    ("actuator", "ending"),
    roles=_SOURCES,
)
ACTS_WAITING: Final = Gauge(
    "rescind_acts_waiting",
    "Orders that wait for a second person; held: revocations over the blast limit.",
    ("act",),
    roles=_SOURCES,
)
ACTS_OLDEST: Final = Gauge(
    "rescind_acts_oldest_seconds",
    "Age of the oldest waiting order; 0 if none waits.",
    ("act",),
    roles=_SOURCES,
)
LETTERS_OVER_QUOTA: Final = Count(
    "rescind_dead_letters_over_quota",
    "Inputs counted only, since their authority has too many reasons of letters.",
    ("authority",),
    roles=_SOURCES,
)
OVER_QUOTA: Final = Count(
    "rescind_over_quota",
    "Batches that were refused in part, since their authority exceeds its quota.",
    ("authority",),
    roles=_SOURCES,
)

# Containment.
CONTAINMENT_DECISIONS: Final = Count(
    "rescind_containment_decisions",
    "Decisions of containment rules on findings.",
    ("rule", "rule_mode", "result"),
    roles=_SOURCES,
)
CONTAINMENT_BEHIND: Final = Gauge(
    "rescind_containment_behind_seconds",
    "Time since the containment rules had seen all findings; only where they run.",
    roles=_SOURCES,
)

# The audit chain.
AUDIT_HEAD: Final = Gauge(
    "rescind_audit_head_timestamp_seconds",
    "Time of the last signed head at the end of the audit chain; first: the start.",
    roles=_GUARDED,
)
LOG_BLOCKS: Final = Gauge(
    "rescind_log_blocks",
    "Blocks of packed facts by whether they were read since the start; unreadable: "
    "places of the log that cannot be read, also of missing facts.",
    ("check",),
    roles=(SERVER,),
)

# The decision point.
PDP_LEASE: Final = Gauge(
    "rescind_pdp_lease", "1 while the decision point holds a lease.", roles=(PDP,)
)
PDP_STALE: Final = Count(
    "rescind_pdp_stale", "Checks answered without a lease.", roles=(PDP,)
)
PDP_JWKS_FAILURES: Final = Count(
    "rescind_pdp_jwks_failures",
    "Failed fetches of an issuer's keys.",
    ("issuer",),
    roles=(PDP,),
)
PDP_DECISIONS: Final = Count(
    "rescind_pdp_decisions",
    "Decisions by surface, outcome and reason.",
    ("surface", "outcome", "reason"),
    roles=(PDP,),
)
PDP_REPORTS: Final = Count(
    "rescind_pdp_reports",
    "Allowed requests that the policy wants reported, by kind.",
    ("report",),
    roles=(PDP,),
)

METRICS: Final[tuple[AnyMetric, ...]] = tuple(
    each
    for each in tuple(globals().values())
    if isinstance(each, Gauge | Count | Distribution)
)


def table() -> str:
    """Tables of ``docs/metrics.md``, in Markdown."""
    kinds = {Gauge: "gauge", Count: "counter", Distribution: "histogram"}
    rows = [
        "| metric | type | labels | reported by | what it is |",
        "|---|---|---|---|---|",
    ]
    for each in METRICS:
        name = each.exposed[0] if isinstance(each, Count) else each.name
        labels = ", ".join(f"`{label}`" for label in each.labels)
        told = "all" if each.roles == _ALL else ", ".join(each.roles)
        cells = (f"`{name}`", kinds[type(each)], labels, told, each.text)
        rows.append(f"| {' | '.join(cells)} |")
    rows += ["", "| label | its values, and so its bound |", "|---|---|"]
    rows += [f"| `{name}` | {bound} |" for name, bound in LABELS.items()]
    return "\n".join(rows) + "\n"
