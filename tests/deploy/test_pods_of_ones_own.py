"""What an operator adds to pods and release, and the pods that scaling leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streams.pdp.settings import load as load_pdp
from streams.settings.server import Settings
from tests.deploy import helm
from tests.deploy.test_chart import values_of
from tests.deploy.test_egress import policies
from tests.deploy.test_environment import COMPONENTS
from tests.deploy.test_refusals import TOKEN, kafka
from tests.deploy.test_wiring import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

VOLUME = {"name": "models", "configMap": {"name": "models"}}
MOUNT = {"name": "models", "mountPath": "/models"}
SCALED = ("ingress", "registry", "sentinel", "relay", "pdp")
GUARD = {"name": "relay-guard"}


def everything(**of_each: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give values of both modes in which every component has some more."""
    alone = {"embedded": {**of_each}}
    others = {name: {**of_each} for name in COMPONENTS if name != "embedded"}
    for name in ("console", "insights", "relay", "pdp", "notify"):
        others[name]["enabled"] = True
    told = {"alerts": {"endpoints": {"soc": {"url": "https://soc.example"}}}}
    return alone, kafka(**others, settings={"tokens": [TOKEN], **told})


def test_volumes_reach_every_component(render: Render) -> None:
    """And the container that they are mounted in."""
    seen = set()
    for values in everything(extraVolumes=[VOLUME], extraVolumeMounts=[MOUNT]):
        made = render(values)
        for component in COMPONENTS:
            if component in made.pods:
                seen.add(component)
                assert VOLUME in made.pod(component)["volumes"]
                assert MOUNT in made.container(component)["volumeMounts"]
    assert seen == set(COMPONENTS)


def test_a_component_may_be_more_urgent_than_the_rest(render: Render) -> None:
    """One class for all pods, and another one of a component."""
    made = render(
        kafka(priorityClassName="all", registry={"priorityClassName": "first"})
    )
    assert made.pod("ingress")["priorityClassName"] == "all"
    assert made.pod("registry")["priorityClassName"] == "first"
    assert "priorityClassName" not in render({}).pod("embedded")


def test_other_objects_know_the_release(render: Render) -> None:
    """They are templates."""
    extra = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": '{{ include "rescind.fullname" . }}-more'},
    }
    names = [
        each["metadata"]["name"]
        for each in render({"extraObjects": [extra, extra]}).of("ConfigMap")
    ]
    assert names == ["rel-rescind-more"] * 2


@pytest.mark.parametrize("by", ["hpa", "keda"])
def test_a_scaled_component_never_has_one_pod(render: Render, by: str) -> None:
    """Without a number a StatefulSet has one, until the scaler looks the first time."""
    scaled = SCALED if by == "hpa" else ("registry", "sentinel")
    scaler: dict[str, Any] = {"enabled": True, "minReplicas": 3}
    if by == "keda":
        scaler["whenMissing"] = "render"
    more: dict[str, Any] = {name: {by: scaler} for name in scaled}
    for name in {"relay", "pdp"} & more.keys():
        more[name]["enabled"] = True
    made = render(kafka(**more))
    assert {made.pods[name]["spec"]["replicas"] for name in scaled} == {3}
    for name in scaled:
        with pytest.raises(helm.error(), match="minimum"):
            render(kafka(**{name: {by: {"enabled": True, "minReplicas": 1}}}))


def test_a_relay_that_starts_asks_the_others(render: Render) -> None:
    """By their Service, which has only those that are ready, over their TLS."""
    tls = {"existingSecret": "tls", "caKey": "ca.crt"}
    values = kafka(relay={"enabled": True, "existingTokenSecret": GUARD}, tls=tls)
    made = render(values)
    given = made.environment("relay")
    assert given["RESCIND_RELAY_PEERS"] == '["https://rel-rescind-relay:8750"]'
    assert given["RESCIND_RELAY_PEERS_CA"] == "/etc/rescind/tls/ca.crt"
    mounts = {
        m["name"]: m["mountPath"] for m in made.container("relay")["volumeMounts"]
    }
    assert given["RESCIND_RELAY_PEERS_TOKEN"] == f"{mounts['guard']}/token"
    upgrade = {"from": "rescind:old", "through": "registry"}
    waiting = render(values | {"upgrade": upgrade})
    assert not any("PEERS_TOKEN" in name for name in waiting.environment("relay"))
    assert "guard" not in {v["name"] for v in waiting.pod("relay")["volumes"]}


def test_a_start_is_seen_within_a_second(render: Render) -> None:
    """A probe each second, and ten minutes for a long recovery."""
    probe = render({}).container("embedded")["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, 600)


def test_metrics_have_a_port_of_their_own(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process, the headless Service, the policy and Prometheus agree on it."""
    values = values_of("keda-values.yaml")
    made = render(values)
    for component in ("ingress", "registry", "sentinel", "notify", "relay", "pdp"):
        with monkeypatch.context() as patch:
            start(made, component, patch)
            own = load_pdp() if component == "pdp" else Settings()
        assert own.metrics_listen is not None
        assert own.metrics_listen.port == 8752
        ports = {
            p["name"]: p["containerPort"] for p in made.container(component)["ports"]
        }
        assert ports["metrics"] == 8752
    for service in made.of("Service"):
        found = {p["name"]: p["targetPort"] for p in service["spec"]["ports"]}
        headless = service["metadata"]["name"].endswith("-pods")
        assert found.get("metrics") == ("metrics" if headless else None)
    (monitor,) = made.of("ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint.get("scheme")) == ("metrics", None)
    rules = policies(made)["rel-rescind"]["spec"]["ingress"]
    (rule,) = (each for each in rules if each["ports"][0]["port"] == 8752)
    assert rule["from"] == values["networkPolicy"]["metricsFrom"]
    upgrade = {"from": "rescind:old", "through": "notify"}
    waiting = render(values | {"upgrade": upgrade})
    assert not any("METRICS" in name for name in waiting.environment("ingress"))
    (port,) = (
        port["targetPort"]
        for service in waiting.of("Service")
        if service["metadata"]["name"] == "rel-rescind-ingress-pods"
        for port in service["spec"]["ports"]
        if port["name"] == "metrics"
    )
    assert port == "http"
