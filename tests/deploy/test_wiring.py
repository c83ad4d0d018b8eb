"""What the chart hands to a process is what the process takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.main import get_command

from bench.load import UPGRADED
from streams.cli.main import app
from streams.clients.rescind import client
from streams.engines.kafka.topics.acls import Role
from streams.pdp.settings import load as load_pdp
from streams.settings.kafka import KafkaSettings
from streams.settings.notify import NotifySettings
from streams.settings.server import address, load
from streams.settings.worker import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

NAMED = {"ingress", "registry", "sentinel", "notify"}
SCALED = {"ingress", "sentinel", "relay", "pdp"}
STAGES = {"registry": {"registry", "closure", "audit"}, "sentinel": {"sentinel"}}


@pytest.fixture(scope="module")
def files(chart_folder: Path) -> dict[str, Any]:
    """Give the values of ci/ by name."""
    found = {}
    for path in (chart_folder / "ci").glob("*-values.yaml"):
        found[path.name.removesuffix("-values.yaml")] = yaml.safe_load(path.read_text())
    return found


def start(made: Rendered, component: str, patch: pytest.MonkeyPatch) -> list[str]:
    """Set the environment of a pod; give its arguments with variables filled in."""
    for name, value in made.environment(component).items():
        text = value if isinstance(value, str) else "from-elsewhere"
        if name == "POD_NAME":
            text = f"rel-rescind-{component}-0"
        if name == "RESCIND_KAFKA_DIGEST_KEY":
            text = "ab" * 32
        patch.setenv(name, text.replace("$(POD_NAME)", f"rel-rescind-{component}-0"))
    args: list[str] = made.container(component)["args"]
    return [arg.replace("$(POD_NAME)", f"rel-rescind-{component}-0") for arg in args]


@pytest.mark.parametrize("name", ["default", "embedded", "kafka", "sasl-tls", "keda"])
def test_the_program_knows_its_arguments(
    render: Render,
    files: dict[str, Any],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each command exists and takes the options that its pod is started with."""
    made = render(files[name])
    root = get_command(app)
    for component in made.roles:
        with monkeypatch.context() as patch:
            args = start(made, component, patch)
        command: Any = root
        while getattr(command, "commands", None):
            command = command.commands[args.pop(0)]
        given = command.make_context(component, args).params
        if component == "canary":
            named = given["url"].split("/")[2].partition(":")[0]
            assert named in {each["metadata"]["name"] for each in made.of("Service")}
        elif component != "topics":
            assert address(given["listen"]).port == 8750
        if component in NAMED:
            assert given["name"] == f"rel-rescind-{component}-0"


def test_kafka_is_reached_as_the_values_say(
    render: Render, files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutual TLS, SCRAM and replication arrive in the settings of each process."""
    made = render(files["sasl-tls"])
    for component in set(made.roles) - {"console"}:  # which knows the API alone
        with monkeypatch.context() as patch:
            start(made, component, patch)
            kafka = KafkaSettings()
            if component in {"registry", "sentinel"}:
                stages = set(WorkerSettings().stages)
                assert stages == STAGES[component]
                assert WorkerSettings().standby is (component == "registry")
            NotifySettings()
        assert kafka.bootstrap_servers.count(",") == 2
        assert kafka.replication_factor == 3
        assert kafka.tls is not None
        assert str(kafka.tls.cert_file) == "/etc/rescind/kafka-tls/tls.crt"
        assert kafka.sasl is not None
        assert kafka.digest() == b"\xab" * 32
        secret = made.environment(component)["RESCIND_KAFKA_SASL__PASSWORD"]
        assert secret["secretKeyRef"]["name"] == f"rescind-{component}"
        assert component in set(Role)


def test_the_settings_of_the_values_are_read(
    render: Render,
    files: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The files in the ConfigMaps are settings that server and decision point take."""
    made = render(files["embedded"])
    texts: dict[str, str] = {}
    for each in made.of("ConfigMap"):
        texts |= each["data"]
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    assert load(tmp_path / "rescind.yaml").realm == "prod"
    start(made, "pdp", monkeypatch)
    pdp = load_pdp(tmp_path / "pdp.yaml")
    (service,) = (
        each
        for each in made.of("Service")
        if each["metadata"]["name"] == pdp.url.split("/")[2].split(":")[0]
    )
    assert service["spec"]["ports"][0]["port"] == 8750
    assert pdp.name == "rel-rescind-pdp-0"
    mounts = {each["mountPath"] for each in made.container("pdp")["volumeMounts"]}
    assert str(pdp.credential_file).rpartition("/")[0] in mounts


def test_tls_is_served_and_trusted(render: Render, files: dict[str, Any]) -> None:
    """The key is mounted where it serves; those that call it get the CA alone."""
    made = render(files["secured"])
    mounts = {
        component: {each["name"] for each in made.container(component)["volumeMounts"]}
        for component in ("embedded", "pdp", "canary")
    }
    assert "tls" in mounts["embedded"]
    for component in ("pdp", "canary"):
        assert "tls" not in mounts[component]
        assert "server-ca" in mounts[component]
        (ca,) = [v for v in made.pod(component)["volumes"] if v["name"] == "server-ca"]
        assert [each["key"] for each in ca["secret"]["items"]] == ["ca.crt"]
    assert made.environment("pdp")["RESCIND_PDP_URL"].startswith("https://")
    assert made.container("canary")["args"][-1].startswith("https://")


def test_commands_in_a_pod_know_the_server(
    render: Render, files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under TLS by a name that a certificate can have, and by its CA."""
    made = render(files["secured"])
    start(made, "embedded", monkeypatch)
    monkeypatch.setenv("RESCIND_TOKEN", "x")
    found = client(None, None)
    assert (found.url, found.ca_file) == (
        "https://rel-rescind:8750",
        "/etc/rescind/tls/ca.crt",
    )
    assert "must have the name rel-rescind" in made.notes
    made = render(files["kafka"] | {"tls": files["secured"]["tls"]})
    assert "--url https://rel-rescind-ingress:8750" in made.notes
    for role in ("ingress", "ingress-pods", "registry-pods", "sentinel-pods"):
        assert f"rel-rescind-{role}" in made.notes
    plain = render({}).environment("embedded")
    assert not {"RESCIND_URL", "RESCIND_CA_FILE"} & plain.keys()


def test_tls_of_the_values_is_what_the_settings_read(
    render: Render,
    files: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths from the Secret, clients from the settings: one TLS."""
    made = render(files["secured"])
    start(made, "embedded", monkeypatch)
    (held,) = [
        each
        for each in made.of("ConfigMap")
        if each["metadata"]["name"] == "rel-rescind"
    ]
    file = tmp_path / "rescind.yaml"
    file.write_text(held["data"]["rescind.yaml"], "utf-8")
    given = load(file)
    assert given.tls is not None
    assert str(given.tls.key) == "/etc/rescind/tls/tls.key"
    assert str(given.tls.client_ca) == "/etc/rescind/tls/ca.crt"
    assert (given.tls.minimum, given.tls.clients[0].name) == ("1.3", "gitops")
    assert given.oidc["corp"].person_claim == "email"


def test_one_scaler_a_component(render: Render, files: dict[str, Any]) -> None:
    """Each is the scaler of a StatefulSet; KEDA asks about what ours reads."""
    made = render(files["keda"])
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for each in made.of(kind)
    }
    sets = {each["metadata"]["name"] for each in made.of("StatefulSet")}
    assert scaled == {f"rel-rescind-{name}" for name in SCALED} <= sets
    (scaler,) = made.of("ScaledObject")
    about = scaler["spec"]["triggers"][0]["metadata"]
    kafka = KafkaSettings()
    assert about["consumerGroup"] == kafka.group("sentinel")
    assert about["topic"] == kafka.topic("access")
    assert about["scaleToZeroOnInvalidOffset"] == "false"


def test_the_topics_come_first(render: Render, files: dict[str, Any]) -> None:
    """Before install and upgrade, and without the account that is not there yet."""
    made = render(files["kafka"])
    hook = made.pods["topics"]["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in made.pod("topics")
    made = render({**files["kafka"], "topics": {"enabled": False}})
    assert "topics" not in made.pods


def test_a_change_of_settings_starts_pods_anew(render: Render) -> None:
    """Settings are read at the start alone."""

    def sum_of(realm: str) -> str:
        maker = render({"settings": {"realm": realm}}).pods["embedded"]
        notes: dict[str, str] = maker["spec"]["template"]["metadata"]["annotations"]
        return notes["checksum/settings"]

    assert sum_of("one") != sum_of("two")
    assert sum_of("one") == sum_of("one")


@pytest.mark.parametrize("count", range(len(UPGRADED) - 1))
def test_readers_get_a_new_image_before_writers(
    render: Render, files: dict[str, Any], count: int
) -> None:
    """In the order of the bench of upgrades, in which guards are the decision point."""
    order = [role for role in UPGRADED if role != "guard"][: count + 1]
    upgrade = {"from": "rescind:old", "through": order[-1]}
    made = render(files["kafka"] | {"upgrade": upgrade})

    new = {
        role for role in made.roles if made.container(role)["image"] != "rescind:old"
    }

    assert new - {"topics", "canary"} == set(order) & set(made.pods)
    # The image before is given no stage that it does not know.
    stages = made.environment("registry")["RESCIND_WORKER_STAGES"]
    assert ("audit" in json.loads(stages)) is ("registry" in new)
