"""An error in new settings ends an upgrade before it touches what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from streams.cli.main import app
from tests.deploy.test_refusals import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

GUARD = {"name": "guard", "sha256": "0" * 64, "roles": ["guard"]}
PDP = {"enabled": True, "existingTokenSecret": {"name": "guard"}}


def exit_code(made: Rendered, job: str, folder: Path, patch: pytest.MonkeyPatch) -> int:
    """Run a Job's command with the files and variables that its pod has."""
    maps = {each["metadata"]["name"]: each["data"] for each in made.of("ConfigMap")}
    mounts = {
        mount["name"]: mount["mountPath"]
        for mount in made.container(job)["volumeMounts"]
    }
    arguments: list[str] = made.container(job)["args"]
    for volume in made.pod(job)["volumes"]:
        if "configMap" in volume:
            for name, text in maps[volume["configMap"]["name"]].items():
                (folder / name).write_text(text, "utf-8")
                path = f"{mounts[volume['name']].removesuffix(f'/{name}')}/{name}"
                arguments = [str(folder / name) if a == path else a for a in arguments]
    for name, value in made.environment(job).items():
        patch.setenv(name, value if isinstance(value, str) else "from-elsewhere")
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("job", "good", "wrong"),
    [
        (
            "check-embedded",
            {"settings": {"realm": "prod", "tokens": [GUARD]}},
            {"settings": {"realm": "prod", "tokens": [GUARD], "relm": "typo"}},
        ),
        (
            "check-ingress",
            kafka(),
            kafka(settings={"tokens": [GUARD], "authorities": {"a": {"grants": [1]}}}),
        ),
        (
            "check-pdp",
            {"pdp": PDP, "settings": {"tokens": [GUARD]}},
            {
                "pdp": {**PDP, "settings": {"issuers": 7}},
                "settings": {"tokens": [GUARD]},
            },
        ),
        (
            "check-registry",
            kafka(registry={"extraEnv": [{"name": "RESCIND_REALM", "value": "r"}]}),
            kafka(
                registry={
                    "extraEnv": [{"name": "RESCIND_KAFKA_PARTITIONS", "value": "x"}]
                }
            ),
        ),
    ],
)
def test_the_job_refuses_what_no_process_starts_with(
    render: Render,
    job: str,
    good: Mapping[str, Any],
    wrong: Mapping[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads the settings of the values, as its role, with the role's variables."""
    for values, code in ((good, 0), (wrong, 2)):
        with monkeypatch.context() as patch:
            assert exit_code(render(values), job, tmp_path, patch) == code


@pytest.mark.parametrize("name", ["embedded", "sasl-tls", "strimzi", "secured"])
def test_the_job_needs_nothing_that_comes_with_the_release(
    render: Render, chart_folder: Path, name: str
) -> None:
    """It runs before the release is there, and reads the settings to come."""
    made = render(yaml.safe_load((chart_folder / f"ci/{name}-values.yaml").read_text()))
    late = {
        each["metadata"]["name"]
        for each in made.objects
        if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }
    jobs = [name for name in made.pods if name.startswith("check-")]
    assert jobs
    for job in jobs:
        pod = made.pod(job)
        assert "serviceAccountName" not in pod
        for volume in pod["volumes"]:
            assert volume.get("configMap", {}).get("name") not in late
        secrets = [
            value["secretKeyRef"]["name"]
            for value in made.environment(job).values()
            if isinstance(value, dict) and "secretKeyRef" in value
        ]
        users = {each["metadata"]["name"] for each in made.of("KafkaUser")}
        assert not users & set(secrets)


def test_it_comes_before_all_that_an_upgrade_touches(render: Render) -> None:
    """First its settings, then the check, then the topics."""
    made = render(kafka())
    weights = {
        f"{each['kind']}/{each['metadata']['name']}": int(
            each["metadata"]["annotations"].get("helm.sh/hook-weight", 0)
        )
        for each in made.objects
        if each["metadata"].get("annotations", {}).get("helm.sh/hook")
        == "pre-install,pre-upgrade"
    }
    order = sorted(weights, key=lambda name: weights[name])
    assert order == [
        "ConfigMap/rel-rescind-check",
        "Job/rel-rescind-check-ingress",
        "NetworkPolicy/rel-rescind-topics",
        "Job/rel-rescind-topics",
    ]
    assert len(set(weights.values())) == len(weights)
    job = made.pods["check-ingress"]["spec"]
    assert job["backoffLimit"] == 0


def test_it_can_be_left_out(render: Render) -> None:
    """Where Secrets come with the release itself."""
    made = render({"settingsCheck": {"enabled": False}, "settings": {"realm": "a"}})
    assert made.pods.keys() == {"embedded"}
    assert [each["metadata"]["name"] for each in made.of("ConfigMap")] == [
        "rel-rescind"
    ]
