"""The golden suite: embedded and Kafka make the same of the same events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.golden.engines import Case, on_embedded, on_kafka
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.golden, pytest.mark.timeout(180)]

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_both_engines_make_what_the_case_says(
    path: Path,
    tmp_path: Path,
    repository: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Verdicts and findings are as written, and tables and findings are equal."""
    case = Case.read(path)
    embedded = await on_embedded(case, tmp_path / "embedded", repository)
    case.check(embedded)
    await lay_out(kafka_settings)
    kafka = await on_kafka(
        case, tmp_path / "kafka", repository, kafka_settings, monkeypatch
    )
    case.check(kafka)

    assert embedded.rows == kafka.rows
    assert embedded.findings == kafka.findings
    assert embedded.undeclared == kafka.undeclared
    assert embedded.rows
