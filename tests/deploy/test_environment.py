"""Variables of one's own reach each process they are for, and are no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy import helm
from tests.deploy.test_refusals import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

COMPONENTS = (
    "embedded", "ingress", "registry", "sentinel", "notify", "insights", "relay", "pdp",
    "console",
)  # fmt: skip
REGISTRY = "RESCIND_KAFKA_SCHEMA_REGISTRY__"


def test_one_list_reaches_all_that_speak_to_kafka(render: Render) -> None:
    """The Job too: else the stages would ask a registry for schemas it never got."""
    password = {"secretKeyRef": {"name": "registry", "key": "password"}}
    extra = [
        {"name": f"{REGISTRY}URL", "value": "https://schemas:8081"},
        {"name": f"{REGISTRY}PASSWORD", "valueFrom": password},
    ]
    made = render(kafka(kafka={"extraEnv": extra}, pdp={"enabled": True}))
    assert set(made.roles) == {"topics", "ingress", "registry", "sentinel", "pdp"}
    for component in made.pods:
        given = made.environment(component)
        assert given[f"{REGISTRY}URL"] == "https://schemas:8081"
        assert given[f"{REGISTRY}PASSWORD"] == password


def test_strimzi_keeps_as_long_as_the_job_says(
    render: Render, chart_folder: Path
) -> None:
    """The operator and `topics apply` would else take turns with the retention."""
    values = yaml.safe_load((chart_folder / "ci/strimzi-values.yaml").read_text())
    days = [{"name": "RESCIND_KAFKA_RETENTION__ACCESS", "value": "1.5"}]
    values["kafka"] |= {"extraEnv": days}
    made = render(values)
    kept = {
        each["metadata"]["name"]: each["spec"]["config"].get("retention.ms")
        for each in made.of("KafkaTopic")
    }
    assert kept["rescind.access.v1"] == "129600000"
    assert kept["rescind.findings.v1"] == "7776000000"


@pytest.mark.parametrize(
    "name",
    [
        "RESCIND_KAFKA_SASL__PASSWORD",
        "RESCIND_KAFKA_TLS__KEY_PASSWORD",
        "RESCIND_KAFKA_DIGEST_KEY",
        "RESCIND_WEBHOOK__SECRETS",
        "RESCIND_ALERTS__ENDPOINTS__PAGER__ROUTING_KEY",
        "RESCIND_HOOKS__GIT__SECRET__VALUE",
        "RESCIND_PEPPERS__ONE",
        "RESCIND_PDP_CREDENTIAL",
        "RESCIND_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ],
)
def test_a_secret_is_no_literal(render: Render, name: str) -> None:
    """The sentence says what to write instead, and not the secret."""
    refuses(render, "ingress", name)


@pytest.mark.parametrize("where", ["kafka", *COMPONENTS])
def test_a_secret_is_no_literal_anywhere(render: Render, where: str) -> None:
    """Of a component that is off too: the release keeps its values."""
    refuses(render, where, "RESCIND_TOKEN")


def refuses(render: Render, where: str, name: str) -> None:
    """Hold that a literal is refused, by a sentence without it."""
    literal = {"extraEnv": [{"name": name, "value": "hunter2"}]}
    with pytest.raises(helm.error(), match=r"use valueFrom\.secretKeyRef") as refused:
        render(kafka(**{where: literal}))
    assert f"{where}.extraEnv: {name}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_secret_within_a_document_is_none_either(render: Render) -> None:
    """A setting may be given as a whole, in JSON."""
    whole = '{"username": "u", "password": "hunter2"}'
    for value in (whole, f"[{whole}]"):
        extra = [{"name": "RESCIND_KAFKA_SASL", "value": value}]
        with pytest.raises(helm.error(), match="password is a secret in plain text"):
            render(kafka(ingress={"extraEnv": extra}))


@pytest.mark.parametrize(
    "name", ["RESCIND_TOKEN_FILE", "RESCIND_PDP_CREDENTIAL_FILE", "RESCIND_REALM"]
)
def test_what_is_no_secret_stays_a_literal(render: Render, name: str) -> None:
    """Names of files are none."""
    made = render({"embedded": {"extraEnv": [{"name": name, "value": "/a"}]}})
    assert made.environment("embedded")[name] == "/a"


def test_the_console_asks_ingress_and_knows_nothing_of_kafka(render: Render) -> None:
    """It is a client of the API: one pod, and no credential of a broker."""
    secured = {"tls": {"existingSecret": "own", "caKey": "ca.crt"}}
    made = render(kafka(console={"enabled": True}, **secured))
    arguments = made.container("console")["args"]
    at = arguments.index("--url")
    assert arguments[at + 1] == "https://rel-rescind-ingress:8750"
    assert arguments[at + 3] == "/etc/rescind/tls/ca.crt"
    assert not [name for name in made.environment("console") if "KAFKA" in name]
    volumes = {each["name"] for each in made.pod("console")["volumes"]}
    assert "kafka-tls" not in volumes
