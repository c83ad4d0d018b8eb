"""The decision point where its gateways are: a node's, and in a gateway's own pod."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.main import get_command

from streams.cli.main import app
from streams.pdp.settings import load
from tests.deploy.test_chart import lax, values_of
from tests.deploy.test_egress import policies
from tests.deploy.test_wiring import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

PATCH = {
    "IMAGE": "rescind:0.1.0",
    "GATEWAY": "orders-gateway",
    "SERVER": "https://rescind.example:8750",
}


@pytest.fixture(scope="module")
def on_nodes(render: Render) -> Rendered:
    """Give the example with a decision point on each node."""
    return render(values_of("gateway-values.yaml"))


def services(made: Rendered) -> dict[str, dict[str, Any]]:
    """Give the Services by name."""
    return {each["metadata"]["name"]: each["spec"] for each in made.of("Service")}


def test_a_gateway_asks_the_pod_of_its_node(on_nodes: Rendered) -> None:
    """A DaemonSet behind a Service that leads nowhere else."""
    assert on_nodes.pods["pdp"]["kind"] == "DaemonSet"
    assert "replicas" not in on_nodes.pods["pdp"]["spec"]
    assert "topologySpreadConstraints" not in on_nodes.pod("pdp")
    assert services(on_nodes)["rel-rescind-pdp"]["internalTrafficPolicy"] == "Local"
    budgets = {each["metadata"]["name"] for each in on_nodes.of("PodDisruptionBudget")}
    assert "rel-rescind-pdp" not in budgets


def test_the_guard_of_a_node_keeps_its_name(
    on_nodes: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods of a DaemonSet have new names at each restart; closure waits for guards."""
    start(on_nodes, "pdp", monkeypatch)
    assert load().name == "rel-rescind-pdp-$(NODE_NAME)"
    named = on_nodes.environment("pdp")["NODE_NAME"]
    assert named == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    order = [each["name"] for each in on_nodes.container("pdp")["env"]]
    assert order.index("NODE_NAME") < order.index("RESCIND_PDP_NAME")


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
def test_envoy_reaches_the_port_of_grpc(
    render: Render, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Container, both Services and the policy have it; the process listens there."""
    values = values_of("gateway-values.yaml")
    values["pdp"]["kind"] = kind
    made = render(values)
    start(made, "pdp", monkeypatch)
    listen = load().grpc_listen
    assert listen is not None
    assert (listen.host, listen.port) == ("0.0.0.0", 8751)
    ports = {p["name"]: p["containerPort"] for p in made.container("pdp")["ports"]}
    assert ports == {"http": 8750, "grpc": 8751}
    for name in ("rel-rescind-pdp", "rel-rescind-pdp-pods"):
        found = {p["name"]: p["port"] for p in services(made)[name]["ports"]}
        assert found == {"http": 8750, "grpc": 8751}
    let_in = policies(made)["rel-rescind"]["spec"]["ingress"][0]["ports"]
    assert [each["port"] for each in let_in] == [8750, 8751]
    values["pdp"]["grpc"]["enabled"] = False
    assert "8751" not in str(render(values).objects)


def test_its_certificate_is_where_it_reads_it(
    on_nodes: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ports show it, and the probes ask over HTTPS."""
    start(on_nodes, "pdp", monkeypatch)
    tls = load().tls
    assert tls is not None
    container = on_nodes.container("pdp")
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "pdp-tls"]
    assert {str(tls.certificate), str(tls.key)} == {
        f"{mount['mountPath']}/tls.crt",
        f"{mount['mountPath']}/tls.key",
    }
    (volume,) = [v for v in on_nodes.pod("pdp")["volumes"] if v["name"] == "pdp-tls"]
    assert volume["secret"]["secretName"] == "rescind-pdp-tls"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"


def test_other_containers_stand_beside_any_role(render: Render) -> None:
    """As the values have them."""
    beside = {"name": "beside", "image": "registry.example/beside:1"}
    for component in ("embedded", "pdp"):
        values = {
            "pdp": {"enabled": True, "existingTokenSecret": {"name": "guard"}},
        }
        values.setdefault(component, {})["extraContainers"] = [beside]
        containers = render(values).pod(component)["containers"]
        assert containers[1:] == [beside]


@pytest.fixture(scope="module")
def patch(repository: Path) -> dict[str, Any]:
    """Give the patch with its three values put in, as the sed of its head does."""
    text = (repository / "deploy/kubernetes/pdp-sidecar.yaml").read_text("utf-8")
    text = "".join(each for each in text.splitlines(True) if each[0] != "#")
    for name, value in PATCH.items():
        assert text.count(f'"{name}"') == 1
        text = text.replace(f'"{name}"', f'"{value}"')
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_the_sidecar_is_as_restricted_as_the_chart_is(
    patch: dict[str, Any], render: Render
) -> None:
    """Also where the pod of the gateway says nothing of it; with the chart's needs."""
    (container,) = patch["spec"]["template"]["spec"]["initContainers"]
    assert [] == lax(container)
    own = container["securityContext"]
    assert (own["runAsNonRoot"], own["seccompProfile"]) == (
        True,
        {"type": "RuntimeDefault"},
    )
    made = render({"pdp": {"enabled": True, "existingTokenSecret": {"name": "guard"}}})
    assert container["resources"] == made.container("pdp")["resources"]
    assert (
        container["livenessProbe"].items()
        >= {
            key: value
            for key, value in made.container("pdp")["livenessProbe"].items()
            if key != "httpGet"
        }.items()
    )


def test_the_sidecar_starts_what_the_program_knows(
    patch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arguments, variables, volumes and ports hang together."""
    spec = patch["spec"]["template"]["spec"]
    (container,) = spec["initContainers"]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each.get("value", "orders-gateway-7d4f-x2"))
    name, *arguments = container["args"]
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    given = command.make_context(name, arguments).params
    settings = load()
    assert settings.url == PATCH["SERVER"]
    listened = given["listen"].rpartition(":")[2]
    for probe in ("startupProbe", "livenessProbe"):
        assert str(container[probe]["httpGet"]["port"]) == listened
    assert settings.grpc_listen is not None
    assert settings.grpc_listen.host == "127.0.0.1"
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts.keys() == {each["name"] for each in spec["volumes"]}
    files = (str(given["config"]), str(settings.credential_file))
    assert {f.rpartition("/")[0] for f in files} == {mounts["rescind-pdp"]}


def test_the_page_puts_in_the_same_values(repository: Path) -> None:
    """The commands on the page, and in the patch's own head."""
    for file in ("docs/pdp.md", "deploy/kubernetes/pdp-sidecar.yaml"):
        text = (repository / file).read_text("utf-8")
        (command,) = re.findall(r"sed -e .*\\\n.*pdp-sidecar\.yaml", text)
        assert set(re.findall(r"'s\|([A-Z]+)\|", command)) == PATCH.keys()
        wanted = {"pdp.yaml", "token=pdp.token"}
        assert wanted <= set(re.findall(r"--from-file=(\S+)", text))
