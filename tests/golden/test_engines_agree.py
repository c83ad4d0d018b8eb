"""The golden suite: embedded and Kafka make the same of the same events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.golden.engines import Case, on_embedded, on_kafka
from tests.integration.kafka_cluster import settings_of
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from streams.devkafka.broker import Cluster
    from tests.integration.kafka_cluster import Running

pytestmark = [pytest.mark.golden, pytest.mark.timeout(180)]

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_both_engines_make_what_the_case_says(
    path: Path,
    tmp_path: Path,
    repository: Path,
    kafka: Cluster | Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Verdicts and findings are as written, and tables and findings are equal."""
    case = Case.read(path)
    embedded = await on_embedded(case, tmp_path / "embedded", repository)
    case.check(embedded)
    # The realm of a case lies in one partition; the second one shows that it is found.
    topics = settings_of(kafka, partitions=2, access_partitions=2)
    await lay_out(topics)
    parts = await on_kafka(case, tmp_path / "kafka", repository, topics, monkeypatch)
    case.check(parts)

    assert embedded.rows == parts.rows
    assert embedded.findings == parts.findings
    assert embedded.undeclared == parts.undeclared
    assert embedded.rows
