"""What `rescind sources` prints, and which sources the settings expect."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.expectations import expected_sources
from streams.cli.sources import list_sources as sources
from streams.clients.rescind import Client
from streams.http.sources import row
from streams.model.times import SECOND
from streams.settings.server import Settings
from streams.ssf.health import StreamHealth
from streams.stages.ingest.source_health import HealthRecord

pytestmark = pytest.mark.unit

NOW = 1_700_000_000 * SECOND
ILL = HealthRecord(
    heard_at=NOW, lag=90 * SECOND, accepted=3, dead_letters=1, unmapped=1,
    collisions=2, reason="no_target", gap=(NOW, NOW), silent=True,
)  # fmt: skip
POLL = {
    "vendor": "entra", "tenant": "t", "authority": "idp", "client_id": "c",
    "client_secret": {"value": "s"}, "logs": ["directoryAudits", "signIns"],
}  # fmt: skip


def told(*rows: dict[str, Any]) -> Mock:
    """Give a client of a server with these sources."""
    client: Mock = create_autospec(Client, instance=True)
    client.get.return_value = {"sources": list(rows)}
    return client


def test_an_ill_source_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that only waits is not ill."""
    waiting, ill = row("hook:new", HealthRecord(), None), row("hook:okta", ILL, None)

    assert 0 == sources(told(waiting), "table")
    assert 1 == sources(told(waiting, ill), "table")
    text = capsys.readouterr().out
    assert 0 == sources(told(), "table")
    assert 1 == sources(told(ill), "json")
    *_, document = capsys.readouterr().out.splitlines()

    (line,) = [each for each in text.splitlines() if each.startswith("hook:okta")]
    for part in ("silent", "1.5 min", "no_target", "1 subject unmapped", "2 id coll"):
        assert part in line
    assert [ill] == json.loads(document)["sources"]


def test_a_stream_tells_its_own_verification_and_pause() -> None:
    """What the transmitter says of a stream goes into its row."""
    stream = StreamHealth(status="paused", verified_at=NOW, heard_at=NOW, refused=2)

    found = row("ssf:idp", HealthRecord(refused=1), stream)

    assert ("stopped", 3, "2023-11-14T22:13:20Z") == (
        found["state"], found["refused"], found["last_verification"]
    )  # fmt: skip


def test_each_feed_of_a_poll_is_expected_to_be_answered() -> None:
    """A poll of two logs is two sources."""
    settings = Settings(polls={"ms": POLL}, silent_seconds={"poll:ms/signIns": 60})

    found = expected_sources(settings)

    assert {"poll:ms/directoryAudits", "poll:ms/signIns"} == set(found)
    assert {1200 * SECOND} == {each.answer for each in found.values()}
    assert 60 * SECOND == found["poll:ms/signIns"].event


@pytest.mark.parametrize(
    "name", ["hook:okta", "events:none", "ssf:idp", "typing error"]
)
def test_an_expectation_of_nobody_is_refused(name: str) -> None:
    """A wrong name would watch over nothing."""
    with pytest.raises(ConfigurationError, match=name):
        expected_sources(Settings(silent_seconds={name: 1}))
