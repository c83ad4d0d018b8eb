"""Vendors' hooks on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agents_registry.facts import Cause, Node
from tests.integration.test_hooks import OKTA, SECRET, settings
from tests.integration.test_vault_api import leased, vault, vaults
from tests.integration.working import facts_of, lay_out, pipeline
from tests.unit.openbao_lines import auth, line, mac

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

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


async def test_a_vault_is_heard_and_asked(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Its HTTP audit device counts, and an order that names a token in plain text."""
    await lay_out(kafka_settings)
    hook = {"vendor": "openbao", "authority": "vault", "secret": {"value": SECRET}}
    made = line("auth/token/create", auth("root"), response={"auth": auth("child")})
    async with vault() as api:
        more = {"hooks": {"bao": hook}, "vaults": vaults(api, authority="vault")}
        async with pipeline(tmp_path, kafka_settings, **more) as run:
            url = run.ingress.url
            headers = {"Authorization": f"Bearer {SECRET}"}
            pushed = orjson.dumps(made) + b"\n" + leased("x/1")
            hooked = f"{url}/v1/hooks/bao"
            async with run.session.post(hooked, data=pushed, headers=headers) as got:
                taken = got.status
            order = {"identifier": "vault.token_hmac:hvs.plain"}
            headers = {"Authorization": "Bearer revoker"}
            path = f"{url}/v1/revocations"
            async with run.session.post(path, json=order, headers=headers) as got:
                answer = await got.json()
            facts = await facts_of(kafka_settings)
    named = {str(fact.node) for fact in facts if isinstance(fact, Node)}
    (cause,) = [fact for fact in facts if isinstance(fact, Cause)]

    assert taken == 202
    assert {f"vault.token_hmac:{mac('child')}", "vault.lease:x/1"} <= named
    assert f"vault.lease_hmac:{mac('of-x/1')}" in named
    assert [str(cause.target)] == answer["identifiers"]
    assert f"vault.token_hmac:{mac('of-hvs.plain')}" == str(cause.target)
