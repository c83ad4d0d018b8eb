"""Callers from outside reach hooks, API and feed, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.test_chart import values_of
from tests.deploy.test_refusals import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

ROUTE: dict[str, Any] = {
    "hosts": ["rescind.example.com"],
    "ingress": {"enabled": True},
    "httpRoute": {
        "enabled": True, "whenMissing": "render", "parentRefs": [{"name": "public"}],
    },
}  # fmt: skip
INSIDE = {"/metrics", "/healthz/live", "/healthz/ready", "/healthz/startup"}


def by_ingress(made: Rendered) -> dict[str, str]:
    """Give path prefixes and their Services, as the Ingress has them."""
    (ingress,) = made.of("Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "rescind.example.com"
    found = {}
    for path in rule["http"]["paths"]:
        assert path["pathType"] == "Prefix"
        found[path["path"]] = path["backend"]["service"]["name"]
    return found


def by_route(made: Rendered) -> dict[str, str]:
    """Give the same, as the HTTPRoute has them."""
    (route,) = made.of("HTTPRoute")
    assert route["spec"]["hostnames"] == ["rescind.example.com"]
    found = {}
    for rule in route["spec"]["rules"]:
        (match,), (backend,) = rule["matches"], rule["backendRefs"]
        assert match["path"]["type"] == "PathPrefix"
        found[match["path"]["value"]] = backend["name"]
    return found


@pytest.fixture(scope="module")
def paths(repository: Path) -> list[str]:
    """Give the documented paths of the API."""
    text = (repository / "docs/api/openapi.yaml").read_text("utf-8")
    return list(yaml.load(text, yaml.CSafeLoader)["paths"])


def test_every_route_but_those_of_the_cluster_is_led_on(
    render: Render, paths: list[str]
) -> None:
    """Ingress and HTTPRoute agree; metrics and probes stay inside."""
    made = render({"route": ROUTE})
    prefixes = by_ingress(made)
    assert prefixes == by_route(made)
    assert set(prefixes.values()) == {"rel-rescind"}
    led = {p for p in paths if any(p.startswith(f"{one}/") for one in prefixes)}
    assert set(paths) - led == INSIDE


def test_guards_are_fed_by_the_relay(render: Render) -> None:
    """On Kafka ingress serves no feed; the longer path wins."""
    for made in (
        render(kafka(route=ROUTE, relay={"enabled": True})),
        render(values_of("keda-values.yaml")),
    ):
        wanted = {
            "/v1": "rel-rescind-ingress",
            "/statuslists": "rel-rescind-ingress",
            "/v1/feed": "rel-rescind-relay",
        }
        assert by_ingress(made) == by_route(made) == wanted
        services = {each["metadata"]["name"] for each in made.of("Service")}
        assert set(wanted.values()) <= services
    assert "/v1/feed" not in by_ingress(render(kafka(route=ROUTE)))


def test_tls_of_the_door_is_the_controllers(render: Render) -> None:
    """A Secret and a class where they are named; else the cluster's own."""
    named = ROUTE | {
        "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "public"}
    }
    (ingress,) = render({"route": named}).of("Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"secretName": "public", "hosts": ROUTE["hosts"]}]
    (plain,) = render({"route": ROUTE}).of("Ingress")
    assert not {"tls", "ingressClassName"} & plain["spec"].keys()
