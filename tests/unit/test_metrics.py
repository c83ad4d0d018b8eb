"""The names of metrics: conventions, bounds, and the table in the docs."""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.life import Reason
from enforcement.verdict import Mode as GuardMode
from enforcement.verdict import Verdict
from streams.apps.builders.embedded_metrics import StoreMetrics
from streams.engines.embedded.audit import AuditSigner
from streams.engines.kafka.audit.audit import AuditStage
from streams.engines.kafka.closure.closure import ClosureStage
from streams.engines.kafka.closure.closure_partition import ClosurePartition, Rules
from streams.http.closure_metrics import REFUSALS, ClosureMetrics
from streams.http.order_metrics import OrderMetrics
from streams.http.sources import SourceMetrics
from streams.model.times import SECOND
from streams.observability.metric_labels import LABELS, MOST_KINDS, OTHER
from streams.observability.metric_types import Count, Distribution
from streams.observability.metrics import METRICS, table
from streams.pdp.decider import Decision
from streams.pdp.metrics import DecisionMetrics as PdpMetrics
from streams.services.audit_sinks import Sinks
from streams.services.source_health import MOST, HealthBook
from streams.settings.kafka import KafkaSettings
from streams.settings.worker import WorkerSettings
from streams.stages.closure.guard_names import GuardKeys
from streams.stages.ingest.approvals import HELD, Pending
from tests.pdp import point

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.registry import Collector

pytestmark = pytest.mark.unit

# What Prometheus and its operator put on every series themselves.
TARGET = {"container", "endpoint", "instance", "job", "namespace", "pod", "service"}
NOW = 1_800_000_000_000_000_000
MANY = 10_000
# Filters and listeners of gateways in examples, and the package of customers.
NO_METRICS = {"rescind_grpc", "rescind_guard", "rescind_pdp", "rescind_reason"}
FOREIGN_UNITS = ("_ms", "_millis", "_milliseconds", "_minutes", "_percent", "_kb")


def test_names_follow_the_conventions_of_prometheus() -> None:
    """One prefix, lower case, base units; the library appends _total."""
    names = [each.name for each in METRICS]
    assert len(set(names)) == len(names)
    for each in METRICS:
        assert re.fullmatch(r"rescind(_[a-z0-9]+)+", each.name)
        assert not each.name.endswith(("_total", *FOREIGN_UNITS))
        assert each.text.endswith((".", ";"))
        assert each.exposed[0].endswith("_total") == isinstance(each, Count)
        if isinstance(each, Distribution):
            assert each.name.endswith("_seconds")
            assert sorted(each.buckets) == list(each.buckets)


def test_every_label_has_its_bound() -> None:
    """No label without a bound, and no bound without a label."""
    assert LABELS.keys() == {label for each in METRICS for label in each.labels}
    assert not LABELS.keys() & TARGET
    assert not LABELS.keys() & {"realm", "identifier", "credential", "point", "guard"}


def test_the_docs_have_the_table(repository: Path) -> None:
    """What docs/metrics.md says is what the module says."""
    text = (repository / "docs/metrics.md").read_text("utf-8")
    _, _, rest = text.partition("<!-- made of streams/observability/metrics.py -->\n")
    told, _, _ = rest.partition("<!-- end -->\n")
    assert table() == told


def test_the_docs_name_metrics_that_there_are(repository: Path) -> None:
    """What a person is told to look at can be found."""
    known = {name for each in METRICS for name in (each.name, *each.exposed)}
    known = {name for each in METRICS for name in each.exposed}
    known |= {each.name for each in METRICS if isinstance(each, Distribution)}
    of_guards = (repository / "enforcement" / "prometheus.py").read_text("utf-8")
    for name in re.findall(r'"(rescind_guard_[a-z_]+)"', of_guards):
        known |= {name, f"{name}_total"}
    for path in sorted((repository / "docs").rglob("*.md")):
        told = set(re.findall(r"\brescind_[a-z_]+", path.read_text("utf-8")))
        assert not told - known - NO_METRICS, path


def values_of(collector: Collector, name: str, label: str) -> dict[str, float]:
    """Give the values of a metric by one of its labels."""
    return {
        sample.labels[label]: sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_kinds_that_callers_make_up_add_no_series() -> None:
    """A decision point tells of few kinds by name, and of all others together."""
    known = point()
    told = PdpMetrics(known.guard, known.keys)
    for n in range(MANY):
        verdict = Verdict(
            allowed=True,
            reason=Reason.LIVES,
            mode=GuardMode.FAIL_CLOSED,
            report=(f"unknown kind{n}.credential",),
        )
        told.count("check", Decision(allowed=True, reason="lives", verdict=verdict))
    found = values_of(told.told.registry, "rescind_pdp_reports_total", "report")
    assert MOST_KINDS + 1 == len(found)
    assert MANY - MOST_KINDS == found[OTHER]


def test_realms_add_no_series() -> None:
    """A worker tells of all realms together."""
    rules = Rules(1.0, 1, GuardKeys({}), lambda: NOW)
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    nobody: Any = None
    stage = ClosureStage(settings, WorkerSettings(), nobody, lambda: NOW, rules)
    followed = ClosurePartition(0, "g", rules, stage.tally)
    stage.followed[0] = followed

    def count() -> int:
        told = ClosureMetrics(stage.closures, stage.tally, rules.boottime)
        return sum(len(each.samples) for each in told.collect())

    followed.realm("first")
    before = count()
    for n in range(MANY):
        followed.realm(f"realm{n}")
    assert MANY < len(followed.realms)
    assert before == count()


def test_a_chain_that_is_being_taken_up_is_as_old_as_its_process() -> None:
    """No start is an alert, and a head that never comes is one."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    nothing: Any = SimpleNamespace(dead_letters=0, public_pem=str)
    embedded = AuditSigner(nothing, "r", nothing, lambda: NOW)
    staged = AuditStage(
        settings, WorkerSettings(), nothing, lambda: NOW, nothing, Sinks()
    )
    assert NOW == embedded.signed_at == staged.signed_at
    *_, head = StoreMetrics(nothing, embedded).collect()
    assert [NOW / SECOND] == [sample.value for sample in head.samples]


def test_sources_that_name_themselves_share_a_series() -> None:
    """What is above the limit is told as one, as the book keeps it."""
    book = HealthBook(lambda: NOW)
    for n in range(MANY):
        book.count(f"source{n}", "refused")
    found = values_of(SourceMetrics(book), "rescind_source_silent", "source")
    assert MOST + 1 == len(found)


def test_reasons_of_refused_receipts_are_told_from_the_start(repository: Path) -> None:
    """All that the code has, so that the first of a reason is an increase."""
    files = (
        "streams/http/receipts.py",
        "streams/engines/kafka/closure/guard_registry.py",
        "streams/engines/kafka/closure/closure_partition.py",
        "streams/engines/embedded/guard_registry.py",
        "streams/stages/closure/guard_names.py",
    )
    text = "".join((repository / name).read_text("utf-8") for name in files)
    found = re.findall(r'(?:refused\[|refus\w+\(\s*|RefusedError\(\s*)"(\w+)"', text)
    assert set(REFUSALS) == set(found)


def test_what_waits_for_a_second_person_is_told(tmp_path: Path) -> None:
    """How many, and since when; a quota that was exceeded too."""
    act: dict[str, Any] = {
        "summary": "s", "reason": "r", "person": "p", "credential": "c",
        "authority": "a", "facts": (),
    }  # fmt: skip

    def waits(kind: str, seconds: int, expires: int | None = None) -> Pending:
        at = NOW - seconds * 1_000_000_000
        return Pending(id="1", kind=kind, proposed_at=at, expires_at=expires, **act)

    seen = (waits(HELD, 40), waits(HELD, 90), waits("lift", 7, NOW))
    desk: Any = SimpleNamespace(seen=seen)
    log: Any = SimpleNamespace(
        quotas=SimpleNamespace(exceeded=Counter({"ci": 4})),
        stated=SimpleNamespace(
            reasons=SimpleNamespace(exceeded=Counter({"hr": 5})),
        ),
    )
    told = OrderMetrics(desk, log, lambda: NOW)
    waiting = values_of(told, "rescind_acts_waiting", "act")
    oldest = values_of(told, "rescind_acts_oldest_seconds", "act")
    over = values_of(told, "rescind_over_quota_total", "authority")
    assert {"held": 2, "proposed": 0} == waiting
    assert {"held": 90, "proposed": 0} == oldest
    assert {"ci": 4} == over
    letters = values_of(told, "rescind_dead_letters_over_quota_total", "authority")
    assert {"hr": 5} == letters
    log.quotas = None
    assert {} == values_of(told, "rescind_over_quota_total", "authority")
