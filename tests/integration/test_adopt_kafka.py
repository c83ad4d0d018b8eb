"""``rescind adopt`` on Kafka: the same command, ingress takes it, guards enforce it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from tests.integration.kafka_guards import guard_of
from tests.integration.serving import until
from tests.integration.test_adopt_command import (
    KEY,
    generated,
    keys,
    report,
    said,
    tokens,
)
from tests.integration.working import lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MANY = 1500


@pytest.mark.long
async def test_a_list_is_adopted_and_what_went_is_asked_of_the_worker(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Known at a guard on the topic, suspended where it is; who is gone is told."""
    await lay_out(kafka_settings)
    async with (
        pipeline(tmp_path, kafka_settings, tokens=tokens(tmp_path)) as run,
        guard_of(kafka_settings) as guard,
    ):

        async def adopt(*files: str) -> dict[str, Any]:
            line = [
                "adopt", "aws-credential-report", *files, "--authority", "aws",
                "--url", run.ingress.url, "--worker", run.working.url,
                "--roster", str(tmp_path / "seen"), "--output", "json",
            ]  # fmt: skip
            env = {"RESCIND_TOKEN": "operator"}
            got = await asyncio.to_thread(CliRunner().invoke, app, line, env=env)
            assert 0 == got.exit_code, got.output
            return said(got.stdout)

        first = await adopt(report(tmp_path, MANY), keys(tmp_path))
        await until(lambda: guard.check(KEY).allowed)
        same = await adopt(report(tmp_path, MANY), keys(tmp_path))
        gone = await adopt(report(tmp_path, MANY - 1), keys(tmp_path))
        await adopt(generated(tmp_path), keys(tmp_path, "Inactive"))
        await until(lambda: not guard.check(KEY).allowed)

    assert (MANY + 1, 0) == (first["accepted"], same["accepted"])
    assert 1 == len(gone["gone"])
