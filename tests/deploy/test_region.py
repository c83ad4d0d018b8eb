"""A release in another region is relays that read the first one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enforcement.shared.command import _arguments
from streams.settings.relay import RelaySettings
from tests.deploy import helm
from tests.deploy.test_chart import values_of
from tests.deploy.test_egress import policies
from tests.deploy.test_refusals import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

ABOVE = "https://relay.eu.example.com:8753"
TOKENS = {"tokens": [{"name": "a", "sha256": "0" * 64, "roles": ["guard"]}]}


@pytest.fixture(scope="module")
def made(render: Render) -> Rendered:
    """Give the example."""
    return render(values_of("region-values.yaml"))


def region(url: str = ABOVE, **more: Any) -> dict[str, Any]:
    """Give values that work."""
    upstream = {"url": url, "existingTokenSecret": {"name": "above"}}
    upstream |= more.pop("upstream", {})
    relay = {"enabled": True, "upstream": upstream, **more.pop("relay", {})}
    return {"relay": relay, "settings": TOKENS, **more}


def test_nothing_runs_that_needs_a_log_of_its_own(made: Rendered) -> None:
    """No server, and nothing of Kafka."""
    assert {"relay", "pdp", "agent"} == set(made.roles)
    assert "KAFKA" not in str(made.objects)
    assert not made.of("PersistentVolumeClaim")
    assert ABOVE in made.notes
    assert "https://rel-rescind-relay:8750" in made.notes


def test_the_relay_starts_with_what_its_pod_has(
    made: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings lie where the Secrets are mounted, with the keys it uses alone."""
    given = made.environment("relay")
    for name, value in given.items():
        if name.startswith("RESCIND_RELAY_"):
            monkeypatch.setenv(name, value)
    own = RelaySettings()
    assert own.upstream == ABOVE
    mounts = {
        each["name"]: each["mountPath"]
        for each in made.container("relay")["volumeMounts"]
    }
    keys = {
        each["name"]: (each["secret"]["secretName"], each["secret"]["items"])
        for each in made.pod("relay")["volumes"]
        if each["name"].startswith("upstream")
    }
    assert keys == {
        "upstream": ("rescind-upstream", [{"key": "token", "path": "token"}]),
        "upstream-ca": ("rescind-upstream-ca", [{"key": "ca.crt", "path": "ca.crt"}]),
    }
    assert str(own.upstream_token) == f"{mounts['upstream']}/token"
    assert str(own.upstream_ca) == f"{mounts['upstream-ca']}/ca.crt"
    assert own.peers == ()


def test_what_stands_beside_it_is_fed_by_it(made: Rendered) -> None:
    """Over its TLS; from outside only the feed is led to it."""
    url = "https://rel-rescind-relay:8750"
    assert url == made.environment("pdp")["RESCIND_PDP_URL"]
    assert url == _arguments(made.container("agent")["args"]).url
    (door,) = made.of("Ingress")
    (rule,) = door["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/v1/feed"
    assert path["backend"]["service"]["name"] == "rel-rescind-relay"


@pytest.mark.parametrize(
    ("url", "port"),
    [
        (ABOVE, 8753),
        ("https://relay.eu.example.com", 443),
        ("http://[2001:db8::1]:8750", 8750),
        ("http://above", 80),
    ],
)
def test_it_may_call_its_upstream(render: Render, url: str, port: int) -> None:
    """At any address, or where the values say."""
    to = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    for where in ([], to):
        made = render(region(url, networkPolicy={"upstreamTo": where}))
        rule = policies(made)["rel-rescind"]["spec"]["egress"][-1]
        assert rule["ports"] == [{"port": port, "protocol": "TCP"}]
        assert rule.get("to", []) == where
    assert "upstream-ca" not in str(render(region(url)).objects)


def test_a_wrong_setting_ends_its_install_too(made: Rendered) -> None:
    """The Job has what the relay has."""
    check = made.environment("check-relay")
    assert check["RESCIND_RELAY_UPSTREAM"] == ABOVE
    assert made.container("check-relay")["args"][-2:] == ["--role", "kafka"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (region(relay={"enabled": False}), "set relay.enabled"),
        (kafka(**region()), "a release of their own, without Kafka"),
        (
            region(upstream={"existingTokenSecret": {"name": ""}}),
            "relay.upstream.existingTokenSecret.name",
        ),
        (
            region("http://above", upstream={"existingCaSecret": {"name": "ca"}}),
            "is not https: change one of them",
        ),
        (
            region(relay={"existingTokenSecret": {"name": "mine"}}),
            "each starts from the upstream's; leave it empty",
        ),
        (region(settings={}), "feed nobody: set settings.tokens"),
        (
            region(canary={"existingTokenSecret": {"name": "canary"}}),
            "leave canary.existingTokenSecret empty",
        ),
        (
            kafka(relay={"upstream": {"existingTokenSecret": {"name": "above"}}}),
            "names Secrets and no url",
        ),
        (region("relay.eu.example.com"), "relay.upstream.url"),
        (region(upstream={"token": "secret"}), "token"),
    ],
)
def test_values_that_cannot_work_say_what_to_do(
    render: Render, values: dict[str, Any], says: str
) -> None:
    """At render, before anything runs."""
    with pytest.raises(helm.error(), match=says):
        render(values)
