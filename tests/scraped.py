"""Hold what ``/metrics`` gave against the module of the metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from streams.observability.metrics import METRICS


def check_scrape(text: str, role: str) -> None:
    """Find every metric of a role in a scrape, and nothing else."""
    families = {each.name: each for each in text_string_to_metric_families(text)}
    declared = {each.name: each for each in METRICS if role in each.roles}
    assert declared.keys() == families.keys()
    for name, family in families.items():
        known = declared[name]
        assert known.text == family.documentation
        for sample in family.samples:
            assert sample.name in known.exposed
            assert set(known.labels) == sample.labels.keys() - {"le"}


def series(text: str) -> int:
    """Count the series of a scrape."""
    families = text_string_to_metric_families(text)
    return sum(len(each.samples) for each in families)
