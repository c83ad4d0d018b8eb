"""What an operator sets for alerts, and what is refused before anything is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from streams.apps.builders.alerting import alerting
from streams.model.findings import FindingKind, Severity
from streams.model.times import SECOND
from streams.settings.errors import explained
from streams.settings.server import Settings, load
from streams.sinks.http_delivery import EndpointError
from tests.unit.test_sinks_standard_webhooks import SECRET

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HOOK = {
    "type": "webhook",
    "url": "https://soc.example/hook",
    "secrets": [{"value": SECRET}],
}
PAGER = {"type": "pagerduty", "routing_key": {"value": "hunter2-" * 4}}
SLACK = {"type": "slack", "url": {"value": "https://hooks.slack.com/services/hunter2"}}
SPLUNK = {"type": "splunk", "url": "https://s:8088", "token": {"value": "hunter2"}}
MANAGER = {"type": "alertmanager", "url": "https://am.example/prefix"}
SYSLOG = {"type": "syslog", "host": "log.example"}


def settings(**endpoints: Any) -> Settings:
    """Give settings with these receivers."""
    return Settings(alerts={"endpoints": endpoints})


def test_makes_a_route_of_each_receiver() -> None:
    """With what it is told, and how hard it may be pressed."""
    made = alerting(
        settings(
            hook=HOOK | {"kinds": ["leak"], "realms": ["a"], "owners": ["ann"]},
            pager=PAGER,
            chat=SLACK,
            siem=SPLUNK,
            metrics=MANAGER,
            log=SYSLOG | {"concurrency": 2},
        )
    )

    routes = {route.name: route for route in made.routes}
    assert set(made.ways) == set(routes)
    assert routes["hook"].kinds == {FindingKind.LEAK}
    assert routes["hook"].realms == {"a"}
    assert routes["hook"].owners == {"ann"}
    assert routes["pager"].minimum is Severity.HIGH
    assert (routes["chat"].updates, routes["chat"].spacing) == (False, SECOND)
    assert routes["metrics"].repeat == 300 * SECOND
    assert routes["log"].in_flight == 2
    assert alerting(Settings()).routes == ()


def test_the_plain_webhook_is_one_of_them() -> None:
    """The setting of the first version goes on working, under its old name."""
    plain = {"url": "https://soc.example/", "secrets": [SECRET], "minimum_severity": 3}
    both = Settings(webhook=plain, alerts={"endpoints": {"pager": PAGER}})

    assert [route.name for route in alerting(both).routes] == ["pager", "webhook"]
    assert alerting(both).routes[1].minimum is Severity.MEDIUM
    twice = Settings(webhook=plain, alerts={"endpoints": {"webhook": HOOK}})
    with pytest.raises(EndpointError, match="one name"):
        alerting(twice)


def test_a_secret_comes_from_the_environment_or_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the receiver stands in the settings file."""
    config, key = tmp_path / "rescind.yaml", tmp_path / "key"
    key.write_text(SECRET + "\n")
    config.write_text(
        "alerts:\n  endpoints:\n    pager: {type: pagerduty}\n"
        "    hook: {type: webhook, url: 'https://soc.example/', secrets: "
        f"[{{file: '{key}'}}]}}\n"
    )
    name = "RESCIND_ALERTS__ENDPOINTS__PAGER__ROUTING_KEY__VALUE"
    monkeypatch.setenv(name, "k" * 32)

    assert set(alerting(load(config)).ways) == {"pager", "hook"}
    key.unlink()
    with pytest.raises(EndpointError, match=r"hook: .*No such file"):
        alerting(load(config))


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (HOOK | {"url": "http://soc.example/"}, "https and port 443 or 8443"),
        (HOOK | {"url": "https://u:hunter2@soc.example/"}, "password"),
        (HOOK | {"secrets": [{"value": "whsec_hunter2"}]}, "24 to 64"),
        (HOOK | {"ca_file": "/nowhere"}, "No such file"),
        (SLACK | {"url": {"value": "hunter2"}}, "not one of http"),
        (SPLUNK | {"url": "https://s:9200"}, "443 or 8088 or 8443"),
        (SYSLOG | {"tls": False}, "TLS and port 6514"),
        (SYSLOG | {"port": 514}, "TLS and port 6514"),
        (PAGER | {"routing_key": {"value": ""}}, "empty"),
        (PAGER | {"routing_key": {"value": "hunter2"}}, "32 characters"),
        (SPLUNK | {"token": {"value": "hunter2\r\nX: y"}}, "one word"),
        (MANAGER | {"token": {"value": "hunter2 hunter2"}}, "one word"),
    ],
)
def test_refuses_what_no_attempt_could_use(
    endpoint: dict[str, Any], message: str
) -> None:
    """It names the receiver and what to do, and no secret."""
    with pytest.raises(EndpointError, match=f"^one: .*{message}") as raised:
        alerting(settings(one=endpoint))

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ({"type": "email", "to": "hunter2"}, "alerts.endpoints.one"),
        (HOOK | {"secrets": []}, "secrets"),
        (HOOK | {"kinds": ["hunter2"]}, "kinds"),
        (PAGER | {"routing_key": "hunter2"}, "routing_key"),
        (MANAGER | {"url": "https://u:hunter2@am.example"}, "url"),
        (SLACK | {"concurrency": 4}, "concurrency"),
        (HOOK | {"timeout_seconds": 60}, "timeout_seconds"),
    ],
)
def test_says_which_setting_is_wrong(endpoint: dict[str, Any], place: str) -> None:
    """And never its value."""
    with pytest.raises(ValidationError) as raised:
        settings(one=endpoint)

    assert place in explained(raised.value, Settings)
    assert "hunter2" not in explained(raised.value, Settings)


def test_shows_no_secret_of_what_was_set() -> None:
    """Not in the settings, not in what is made of them."""
    made = settings(pager=PAGER, chat=SLACK, siem=SPLUNK)

    assert "hunter2" not in repr(made)
    assert "hunter2" not in repr(alerting(made))
