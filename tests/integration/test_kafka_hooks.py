"""Vendors' hooks on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agents_registry.facts import Cause
from tests.integration.test_hooks import OKTA, SECRET, settings
from tests.integration.working import facts_of, lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.kafka.settings import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


async def test_a_hook_is_in_the_log_when_it_is_answered(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A wrong secret is refused, counted, and leaves nothing there."""
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings, **settings(tmp_path)) as run:
        url = f"{run.ingress.url}/v1/hooks/okta"
        statuses = []
        for secret in ("wrong", SECRET):
            headers = {"X-Hook-Secret": secret}
            data = orjson.dumps(OKTA)
            async with run.session.post(url, data=data, headers=headers) as got:
                statuses.append(got.status)
        async with run.session.get(f"{run.ingress.url}/metrics") as got:
            metrics = await got.text()
        facts = await facts_of(kafka_settings)
    assert [401, 202] == statuses
    assert 'result="refused",source="hook:okta"} 1.0' in metrics
    assert ["okta.user:00u1"] == [str(f.target) for f in facts if isinstance(f, Cause)]
