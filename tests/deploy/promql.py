"""Hold queries against the metrics that there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import promql_parser

from streams.model.findings import FindingKind
from streams.observability import metrics
from streams.observability.metric_labels import LABELS
from streams.observability.metric_types import Distribution
from streams.stages.closure.closure import GuardMode, ProofState
from streams.stages.containment.rules import ContainmentMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a target brings, besides what a metric has.
TARGET = frozenset({"namespace", "pod", "job", "instance"})
KNOWN: Mapping[str, frozenset[str]] = {
    series: frozenset(each.labels)
    | ({"le"} if isinstance(each, Distribution) else set())
    for each in metrics.METRICS
    for series in each.exposed
}
ROLES: Mapping[str, frozenset[str]] = {
    series: frozenset(each.roles) for each in metrics.METRICS for series in each.exposed
}
# Labels whose values are words of the product.
VALUES: Mapping[str, frozenset[str]] = {
    "act": frozenset({"held", "proposed"}),
    "kind": frozenset(each.value for each in FindingKind),
    "lease": frozenset({"held", "lapsed", "gone"}),
    "mode": frozenset(each.value for each in GuardMode),
    "rule_mode": frozenset(each.value for each in ContainmentMode),
    "role": frozenset(LABELS["role"].split(", ")),
    "stage": frozenset(LABELS["stage"].split(", ")),
    "state": frozenset(each.value for each in ProofState) - {"pending"},
    "le": frozenset(map(str, metrics.PROPAGATION.buckets)) | {"+Inf"},
}


def faults(query: str, recorded: Mapping[str, frozenset[str]]) -> list[str]:
    """Say what is wrong with a query; ``recorded`` are series of rules, with labels."""
    query = query.replace("$__rate_interval", "5m").replace("$namespace", ".*")
    try:
        parsed = promql_parser.parse(query)
    except ValueError as error:
        return [f"{query}: {error}"]
    return list(_faults(parsed, {**KNOWN, **recorded}))


def labels_of(query: str) -> frozenset[str]:
    """Give the labels that an aggregation leaves."""
    found = re.findall(r"by \(([^)]*)\)", query)
    return frozenset(label.strip() for each in found for label in each.split(","))


def _faults(node: Any, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        yield from _of_selector(node, known)
        return
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        below = {name for each in selectors(node.expr) for name in known.get(each, ())}
        for label in node.modifier.labels:
            if label not in below | TARGET:
                yield f"no label {label} to aggregate by"
    if isinstance(node, promql_parser.BinaryExpr) and "and" == str(node.op).strip():
        yield from _of_and(node)
    for each in _below(node):
        yield from _faults(each, known)


def _of_and(node: Any) -> Iterator[str]:
    """Say who tells the one side and not the other: of them it never is true."""
    alone = _told_by(node.lhs) - _told_by(node.rhs)
    if not str(node.modifier) and alone:
        yield f"{', '.join(sorted(alone))} do not tell {selectors(node.rhs)}"


def _told_by(node: Any) -> frozenset[str]:
    """Give the roles that tell all that a query reads; series of rules say nothing."""
    told = VALUES["role"]
    return told.intersection(*(ROLES.get(name, told) for name in selectors(node)))


def _of_selector(node: Any, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    if node.name not in known:
        yield f"no metric {node.name}"
        return
    for matcher in node.matchers.matchers:
        if matcher.name not in known[node.name] | TARGET:
            yield f"{node.name} has no label {matcher.name}"
        allowed = VALUES.get(matcher.name)
        for value in re.split(r"\|", matcher.value):
            if allowed is not None and value not in allowed:
                yield f"{matcher.name} is never {value}"


def selectors(node: Any) -> set[str]:
    """Give the names of the series that a query reads."""
    if isinstance(node, promql_parser.VectorSelector):
        return {node.name or ""}
    return {name for each in _below(node) for name in selectors(each)}


def _below(node: Any) -> Iterator[Any]:
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (child := getattr(node, name, None)) is not None:
            yield child
    yield from getattr(node, "args", None) or ()
