"""Every file of values in ci/ renders, to what a regulated cluster lets in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy import helm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

CHART = Path(__file__).resolve().parents[2] / "deploy/helm/rescind"
FILES = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))
SNAPSHOTS = Path(__file__).parent / "snapshots"
ROLES = {
    "embedded",
    "ingress",
    "registry",
    "sentinel",
    "notify",
    "insights",
    "relay",
    "console",
    "pdp",
    "agent",
    "topics",
    "canary",
    "check-embedded",
    "check-ingress",
    "check-pdp",
    "check-relay",
}


class Plain(yaml.CSafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, _: Any) -> bool:
        """Use no anchor."""
        return True


def values_of(name: str) -> dict[str, Any]:
    """Read a file of values."""
    values: dict[str, Any] = yaml.safe_load((CHART / "ci" / name).read_text("utf-8"))
    return values


@pytest.fixture(scope="module", params=FILES)
def rendered(request: pytest.FixtureRequest, render: Render) -> Rendered:
    """Give what Helm makes of each file of values."""
    return render(values_of(request.param))


def insecure(pod: Mapping[str, Any]) -> list[str]:
    """Name the rules that a pod breaks: of the standard `restricted`, and our own."""
    security = pod["securityContext"]
    root = security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0
    rules = {
        "may be root": root,
        "any system call": security.get("seccompProfile") != {"type": "RuntimeDefault"},
        "token of the API": pod.get("automountServiceAccountToken") is not False,
        "variables of Services": pod.get("enableServiceLinks") is not False,
        "host": any(map(pod.get, ("hostNetwork", "hostPID", "hostIPC"))),
        "files of the host": any("hostPath" in volume for volume in pod["volumes"]),
    }
    broken = [rule for rule, breaks in rules.items() if breaks]
    return broken + [rule for each in pod["containers"] for rule in lax(each)]


def lax(container: Mapping[str, Any]) -> list[str]:
    """Name the rules that a container breaks."""
    own = container.get("securityContext", {})
    rules = {
        "writable root": own.get("readOnlyRootFilesystem") is not True,
        "more privileges": own.get("allowPrivilegeEscalation") is not False,
        "privileged": bool(own.get("privileged")),
        "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
        "no requests": not container["resources"].get("requests"),
    }
    return [rule for rule, breaks in rules.items() if breaks]


def test_pods_are_restricted(rendered: Rendered) -> None:
    """Not root, read-only root, no capability, no token of the Kubernetes API."""
    assert rendered.pods
    for component in rendered.pods:
        allowed = ["files of the host"] if component == "agent" else []
        assert allowed == insecure(rendered.pod(component)), component


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("securityContext", "runAsNonRoot"), False),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
        (("automountServiceAccountToken",), True),
        (("enableServiceLinks",), True),
        (("hostNetwork",), True),
        (("volumes",), [{"name": "host", "hostPath": {"path": "/"}}]),
        (("containers", 0, "securityContext", "readOnlyRootFilesystem"), False),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        (("containers", 0, "securityContext", "capabilities"), {"add": ["SYS_ADMIN"]}),
        (("containers", 0, "resources"), {}),
    ],
)
def test_each_broken_rule_is_seen(
    render: Render, path: tuple[str | int, ...], value: object
) -> None:
    """The test above catches a chart that forgets one of them."""
    pod = render({}).pod("embedded")
    place: Any = pod
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(insecure(pod)) == 1


def test_nothing_asks_for_rights_or_brings_a_secret(rendered: Rendered) -> None:
    """No RBAC, and no Secret: those are made by whoever keeps secrets."""
    kinds = {each["kind"] for each in rendered.objects}
    assert not kinds & {"Secret", "Role", "ClusterRole", "RoleBinding"}
    for account in rendered.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_probes_ask_three_paths(rendered: Rendered) -> None:
    """Startup, live and ready are three questions."""
    for component, maker in rendered.pods.items():
        if maker["kind"] in {"Job", "Pod"} or component == "agent":
            continue
        container = rendered.container(component)
        for probe, path in (
            ("startupProbe", "/healthz/startup"),
            ("livenessProbe", "/healthz/live"),
            ("readinessProbe", "/healthz/ready"),
        ):
            asked = dict(container[probe]["httpGet"])
            served = rendered.environment(component).keys()
            tls = bool({"RESCIND_TLS__KEY", "RESCIND_PDP_TLS__KEY"} & served)
            assert asked.pop("scheme", "HTTP") == ("HTTPS" if tls else "HTTP")
            assert asked == {"path": path, "port": "http"}
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 300


def test_who_takes_requests_drains(rendered: Rendered) -> None:
    """Ingress and the decision point wait until no Service leads to them."""
    for component in rendered.pods.keys() & {"ingress", "pdp"}:
        pod = rendered.pod(component)
        waits = rendered.container(component)["lifecycle"]["preStop"]["sleep"][
            "seconds"
        ]
        assert 0 < waits < pod["terminationGracePeriodSeconds"] - 10


def test_what_selects_finds_its_pods(rendered: Rendered) -> None:
    """Services, budgets and StatefulSets select one component, by its labels."""
    labels = {
        name: maker["spec"].get("template", maker)["metadata"]["labels"]
        for name, maker in rendered.pods.items()
    }
    for each in rendered.objects:
        selector = each.get("spec", {}).get("selector")
        if each["kind"] == "ServiceMonitor" or selector is None:
            continue
        wanted = selector.get("matchLabels", selector)
        found = [n for n, has in labels.items() if wanted.items() <= has.items()]
        assert found == [each["metadata"]["labels"]["app.kubernetes.io/component"]]


def test_names_and_mounts_hang_together(rendered: Rendered) -> None:
    """Each mount has its volume; names are unique and short enough."""
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)
    for component, maker in rendered.pods.items():
        volumes = {volume["name"] for volume in rendered.pod(component)["volumes"]}
        claims = maker["spec"].get("volumeClaimTemplates", [])
        volumes |= {claim["metadata"]["name"] for claim in claims}
        mounts = rendered.container(component)["volumeMounts"]
        assert {mount["name"] for mount in mounts} == volumes


def masked(each: Any) -> Any:
    """Give an object without what has tests of its own: sums, rules, dashboards."""
    shown = {**each}
    if each["kind"] == "PrometheusRule":
        shown["spec"] = "files/rules.yaml"
    if each["kind"] == "ConfigMap" and "-dashboard-" in each["metadata"]["name"]:
        shown["data"] = sorted(each["data"])
    notes = (
        each["spec"].get("template", {}).get("metadata", {}) if "spec" in each else {}
    )
    if "checksum/settings" in notes.get("annotations", {}):
        sums = notes["annotations"]
        sums["checksum/settings"] = "of the settings"
    return shown


@pytest.mark.parametrize("name", FILES)
def test_the_objects_are_as_before(render: Render, name: str) -> None:
    """All of each object; RESCIND_UPDATE_SNAPSHOTS=1 takes them as they are now."""
    made = render(values_of(name))
    objects = {
        f"{each['kind']}/{each['metadata']['name']}": masked(each)
        for each in made.objects
    }
    found = yaml.dump(objects, Dumper=Plain, default_flow_style=None, width=100)
    snapshot = SNAPSHOTS / name
    if os.environ.get("RESCIND_UPDATE_SNAPSHOTS"):
        snapshot.write_text(found, "utf-8")
    assert snapshot.read_text("utf-8") == found


def test_all_roles_are_covered(render: Render) -> None:
    """The files of values bring up every component there is."""
    seen = set().union(*(render(values_of(name)).pods for name in FILES))
    assert seen == ROLES


def test_helm_has_nothing_to_complain(chart_folder: Path) -> None:
    """As `helm lint --strict` sees it, with every file of values."""
    for name in FILES:
        report = helm.lint(chart_folder, values_of(name))
        assert [] == report["errors"], name
        assert {each["severity"] for each in report["messages"]} <= {1}


def test_each_next_step_is_a_command(render: Render) -> None:
    """NOTES.txt tells the next three commands, and names what was installed."""
    for name in FILES:
        made = render(values_of(name))
        steps = [line for line in made.notes.splitlines() if line.startswith("  ")]
        assert len(steps) == 3
        for step in steps[:2]:
            kind, target = step.partition("statefulset/")[1:]
            if kind:
                listed = {each["metadata"]["name"] for each in made.of("StatefulSet")}
                assert target.split()[0] in listed
