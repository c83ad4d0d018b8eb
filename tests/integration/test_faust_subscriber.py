"""The example of a Faust application reads the topics of a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.notifying import finding, invalidate, report
from tests.integration.serving import DEADLINE, until
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

EXAMPLE = Path(__file__).parents[2] / "examples/faust_subscriber.py"


async def test_the_example_hears_of_findings_and_of_deaths(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Decoded by the codec of the guard's package; what is no record is left out."""
    kafka, output, log = kafka_settings, tmp_path / "out", tmp_path / "log"
    await lay_out(kafka)
    await report(kafka, finding(1))
    await invalidate(
        kafka, b"poison", {"identifier": "jwt.jti:t1", "authority": "okta"}
    )
    with output.open("wb") as out, log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time worth a thread
            [sys.executable, EXAMPLE, "worker", "--without-web"],
            cwd=tmp_path,  # Faust makes a folder of its own there
            env={
                **os.environ,
                "KAFKA": kafka.bootstrap_servers,
                "RESCIND_PREFIX": kafka.prefix,
                "GROUP": f"{kafka.prefix}.subscriber",
            },
            stdout=out,
            stderr=errors,
        )
        try:
            wanted = [{"id", "kind", "presented", "point", "message"}]
            wanted.append({"dead", "by", "effect"})

            def heard() -> list[dict[str, Any]]:
                assert process.poll() is None, log.read_text()
                lines = [it for it in output.read_text().splitlines() if it[:1] == "{"]
                found = [json.loads(each) for each in lines]
                return found if len(found) == len(wanted) else []

            told = await until(heard)
        finally:
            process.terminate()
            assert 0 == process.wait(DEADLINE), log.read_text()
    assert "Traceback" not in log.read_text()
    told.sort(key=lambda each: "dead" in each)
    assert wanted == [set(each) for each in told]
    assert (f"{1:032x}", "aws.access_key:AKIA1") == (
        told[0]["id"],
        told[0]["presented"],
    )
    assert {"dead": "jwt.jti:t1", "by": "okta", "effect": "revoke"} == told[1]
