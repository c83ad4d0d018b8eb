"""What the network policy lets out is what the values need."""

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

CUT_OFF = "networkPolicy.extraEgress is empty"
HTTPS = [{"ports": [{"port": 443, "protocol": "TCP"}]}]


def policies(made: Rendered) -> dict[str, dict[str, Any]]:
    """Give the network policies by their names."""
    return {each["metadata"]["name"]: each for each in made.of("NetworkPolicy")}


def let_out(policy: Mapping[str, Any]) -> list[set[int]]:
    """Give the ports of each rule of egress."""
    return [{port["port"] for port in r["ports"]} for r in policy["spec"]["egress"]]


def test_nothing_leaves_but_what_is_named(render: Render, chart_folder: Path) -> None:
    """Egress: names, the release itself, the brokers, and what an operator adds."""
    text = (chart_folder / "ci/sasl-tls-values.yaml").read_text("utf-8")
    policy = policies(render(yaml.safe_load(text)))["rel-rescind"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert let_out(policy) == [{53}, {8750}, {9093}, {443}]
    (policy,) = render({}).of("NetworkPolicy")
    assert let_out(policy) == [{53}, {8750}]


def test_the_job_before_an_install_may_call_kafka(render: Render) -> None:
    """Where all is denied by default it would wait for a policy that comes after it."""
    made = render(kafka(networkPolicy={"extraEgress": HTTPS}))
    policy, job = policies(made)["rel-rescind-topics"], made.pods["topics"]
    hooks = [each["metadata"]["annotations"] for each in (policy, job)]
    assert [each["helm.sh/hook"] for each in hooks] == ["pre-install,pre-upgrade"] * 2
    weights = [int(each.get("helm.sh/hook-weight", "0")) for each in hooks]
    assert weights[0] < weights[1]
    wanted = policy["spec"]["podSelector"]["matchLabels"].items()
    assert wanted <= job["spec"]["template"]["metadata"]["labels"].items()
    assert let_out(policy) == [{53}, {9092}, {443}]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]


def test_brokers_and_resolvers_are_named(render: Render) -> None:
    """By the values, or by Strimzi's own labels; the topics' Job has the same rules."""
    values = values_of("keda-values.yaml")
    made = policies(render(values))
    for name in ("rel-rescind", "rel-rescind-topics"):
        rules = {r["ports"][0]["port"]: r for r in made[name]["spec"]["egress"]}
        assert rules[9092]["to"] == values["networkPolicy"]["kafkaTo"]
        assert rules[53]["to"] == values["networkPolicy"]["dnsTo"]
    policy = policies(render(values_of("strimzi-values.yaml")))["rel-rescind"]
    (rule,) = (r for r in policy["spec"]["egress"] if r["ports"][0]["port"] == 9093)
    (pods,) = rule["to"]
    assert pods["podSelector"]["matchLabels"] == {
        "strimzi.io/cluster": "events",
        "strimzi.io/kind": "Kafka",
    }


@pytest.mark.parametrize(
    "off", [{"topics": {"enabled": False}}, {"networkPolicy": {"enabled": False}}]
)
def test_no_policy_for_no_job(render: Render, off: dict[str, Any]) -> None:
    """It comes with the Job, and with the policies."""
    assert "rel-rescind-topics" not in policies(render(kafka(**off)))


def test_no_example_is_cut_off(render: Render, chart_folder: Path) -> None:
    """What the examples call, their policy lets out."""
    for path in sorted((chart_folder / "ci").glob("*-values.yaml")):
        made = render(yaml.safe_load(path.read_text("utf-8")))
        assert CUT_OFF not in made.notes, path.name


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            {"settings": {"webhook": {"url": "https://soc.example", "secrets": []}}},
            "settings.webhook",
        ),
        (
            {"settings": {"alerts": {"endpoints": {"a": {}}}, "polls": {"p": {}}}},
            "settings.alerts.endpoints, settings.polls",
        ),
        (
            {"existingSettingsSecret": {"name": "mine"}},
            "what existingSettingsSecret names",
        ),
        (
            kafka(pdp={"enabled": True, "settings": {"issuers": [{"issuer": "a"}]}}),
            "pdp.settings.issuers",
        ),
        (
            kafka(
                kafka={
                    "extraEnv": [
                        {
                            "name": "RESCIND_KAFKA_SCHEMA_REGISTRY__URL",
                            "value": "https://schemas:8081",
                        }
                    ]
                }
            ),
            "the schema registry",
        ),
    ],
)
def test_who_is_cut_off_is_told(
    render: Render, values: dict[str, Any], names: str
) -> None:
    """The notes name what nothing reaches, until something is let out."""
    notes = render(values).notes
    assert CUT_OFF in notes
    assert names in notes
    for policy in ({"extraEgress": HTTPS}, {"enabled": False}):
        assert CUT_OFF not in render(values | {"networkPolicy": policy}).notes
