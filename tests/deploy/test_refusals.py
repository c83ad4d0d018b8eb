"""Wrong values end at render, with a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy import helm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

TOKEN = {"name": "ops", "sha256": "0" * 64, "roles": ["revoker"]}


def kafka(**more: Any) -> dict[str, Any]:
    """Give values for Kafka that work, but for what is to be wrong."""
    own = {"bootstrapServers": "kafka:9092", **more.pop("kafka", {})}
    settings = {"tokens": [TOKEN]}
    return {"kafka": own, "settings": settings, "notify": {"enabled": False}, **more}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"console": {"enabled": True}},
            "console.enabled needs Kafka: set kafka.bootstrapServers",
        ),
        (
            {"insights": {"enabled": True}},
            "insights.enabled needs Kafka: set kafka.bootstrapServers",
        ),
        (
            kafka(sentinel={"hpa": {"enabled": True}, "keda": {"enabled": True}}),
            "sentinel.hpa and sentinel.keda are both enabled .* turn one off",
        ),
        (
            kafka(kafka={"brokers": 1}),
            "replicationFactor is 3 and there are 1 brokers .*: set kafka.replication",
        ),
        (
            kafka(kafka={"replicationFactor": 1}),
            "minInsyncReplicas .2. is above .*; lower it",
        ),
        (
            kafka(strimzi={"enabled": True}, kafka={"sasl": {"enabled": True}}),
            "name it in strimzi.cluster",
        ),
        (
            kafka(strimzi={"enabled": True, "cluster": "events"}),
            "users with SCRAM-SHA-512: set kafka.sasl.enabled",
        ),
        ({"strimzi": {"enabled": True}}, "needs Kafka: set kafka.bootstrapServers"),
        (
            kafka(kafka={"sasl": {"enabled": True}}),
            "needs a Secret .*: set kafka.sasl.existingSecret or ingress.kafkaSecret",
        ),
        (
            kafka(kafka={"sasl": {"enabled": True, "mechanism": "PLAIN"}}),
            "PLAIN would send the password in clear: set kafka.tls.enabled",
        ),
        (
            kafka(kafka={"tls": {"enabled": True, "certKey": "tls.crt"}}),
            "name it in kafka.tls.existingSecret",
        ),
        (
            {"kafka": {"bootstrapServers": "kafka:9092"}},
            "nobody could call ingress: set settings.tokens .* existingSettingsSecret",
        ),
        (
            kafka(sentinel={"keda": {"enabled": True, "maxReplicas": 25}}),
            "sentinel.keda.maxReplicas is above the 24 partitions: .* lower it",
        ),
        (
            kafka(ingress={"hpa": {"enabled": True, "minReplicas": 9}}),
            "ingress.hpa.minReplicas is above maxReplicas: raise maxReplicas",
        ),
        (
            kafka(ingress={"preStopSeconds": 25}),
            "ingress.terminationGracePeriodSeconds .*: set it to more",
        ),
        (
            kafka(notify={"enabled": True}),
            "nobody to tell: set settings.alerts.endpoints, or notify.enabled to false",
        ),
        (
            kafka(existingSettingsSecret={"name": "mine"}),
            "both set: put everything into one",
        ),
        (
            {"route": {"ingress": {"enabled": True}}},
            "any host name .*: name yours in route.hosts",
        ),
        (
            {"route": {"hosts": ["a.example"], "httpRoute": {"enabled": True}}},
            "belongs to no Gateway: name it in route.httpRoute.parentRefs",
        ),
        (
            {
                "route": {
                    "hosts": ["a.example"],
                    "httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]},
                }
            },
            "no HTTPRoute .*: install the Gateway API, or set route.httpRoute.when",
        ),
        (
            {"agent": {"enabled": True}},
            "host agent needs a guard's token: make a Secret",
        ),
        (
            kafka(agent={"enabled": True, "existingTokenSecret": {"name": "a"}}),
            "the relay feeds the host agent: set relay.enabled",
        ),
        ({"pdp": {"enabled": True}}, "needs a guard's token: make a Secret"),
        (
            {"pdp": {"kind": "DaemonSet", "hpa": {"enabled": True}}},
            "pdp.hpa has nothing to scale: .* turn it off",
        ),
        (
            {"pdp": {"settings": {"grpc_listen": {"port": 8761}}}},
            "pdp.settings.grpc_listen .* use pdp.grpc.enabled",
        ),
        (
            {"pdp": {"settings": {"tls": {"certificate": "a", "key": "b"}}}},
            "pdp.settings.tls .* use pdp.tls.existingSecret",
        ),
        ({"ingress": {"hpa": {"enabled": True}}}, "set kafka.bootstrapServers"),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}}},
            "no ServiceMonitor .*: install the Prometheus operator, or set",
        ),
        (
            kafka(sentinel={"keda": {"enabled": True}}),
            "no ScaledObject .keda.sh/v1alpha1.: install KEDA, or set sentinel.keda.",
        ),
        (
            kafka(
                kafka={"sasl": {"enabled": True}},
                strimzi={"enabled": True, "cluster": "events"},
            ),
            "no KafkaTopic .*: install the Strimzi operator, or set strimzi.when",
        ),
        (
            {"metrics": {"prometheusRule": {"enabled": True}}},
            "no PrometheusRule .*: install the Prometheus operator, or set",
        ),
        (
            {"settings": {"webhook": {"url": "https://a.example", "secrets": ["x"]}}},
            "settings.webhook.secrets holds a secret in plain text: use",
        ),
        (
            {"settings": {"hooks": {"git": {"secret": {"value": "hunter2"}}}}},
            "settings.hooks.git.secret.value is a secret .*: name its Secret",
        ),
        (
            {"settings": {"alerts": {"endpoints": {"a": {"token": {"value": "x"}}}}}},
            "is a secret in plain text",
        ),
        (
            {"pdp": {"settings": {"peppers": {"one": "c2VjcmV0"}}}},
            "pdp.settings.peppers holds a key in plain text",
        ),
        ({"tls": {"clientCaKey": "ca.crt"}}, "name it in tls.existingSecret"),
        ({"tls": {"caKey": "ca.crt"}}, "name it in tls.existingSecret"),
        (
            {"settings": {"tls": {"clients": [TOKEN]}}},
            "nobody vouches .*: set tls.existingSecret and tls.clientCaKey",
        ),
        (
            {"settings": {"oidc": {"corp": {"audience": ["a"]}}}},
            "settings.oidc.corp.roles is empty: say which group",
        ),
        (
            {"settings": {"oidc": {"corp": {"roles": [{"group": "a"}]}}}},
            "settings.oidc.corp.audience is empty: name who",
        ),
        (
            {
                "settings": {
                    "approvals": {"acts": ["lift"]},
                    "tokens": [TOKEN, TOKEN | {"roles": ["restorer"]}],
                }
            },
            "approvals.acts needs two persons .*: give two tokens",
        ),
        (
            {
                "settings": {
                    "approvals": {"acts": ["lift"]},
                    "tokens": [
                        TOKEN | {"name": name, "roles": ["restorer"], "person": person}
                        for name, person in (("laptop", "Ann"), ("phone", "ann"))
                    ],
                }
            },
            "approvals.acts needs two persons .*: give two tokens",
        ),
        (
            {"settings": {"tls": {"certificate": "/a", "key": "/b"}}},
            "plain HTTP to a server of HTTPS: set tls.existingSecret instead",
        ),
        (
            {"settings": {"authorities": {"a": {"over_limit": "hold"}}}},
            "over_limit is hold and there is no blast_limit: set it",
        ),
        (
            {
                "settings": {
                    "tokens": [TOKEN],
                    "authorities": {"a": {"over_limit": "hold", "blast_limit": 5}},
                }
            },
            "hold and nobody could approve: give a token",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    render: Render, values: dict[str, Any], says: str
) -> None:
    """The sentence names the value and what to do about it."""
    with pytest.raises(helm.error(), match=says) as refused:
        render(values)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"replicaz": 2}, "replicaz"),
        ({"embedded": {"replicas": 2}}, "replicas"),
        ({"ingress": {"resourcez": {}}}, "resourcez"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"kafka": {"sasl": {"password": "hunter2"}}}, "password"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"service": {"port": 80000}}, "port"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
        ({"podSecurityContext": {"runAsUser": 0}}, "runAsUser"),
        ({"podSecurityContext": {"privileged": True}}, "privileged"),
        ({"secretMounts": ["Not_A_Name"]}, "secretMounts"),
    ],
)
def test_the_schema_is_closed(
    render: Render, values: dict[str, Any], names: str
) -> None:
    """A value that nobody reads, or that is out of range, is an error."""
    with pytest.raises(helm.error(), match=names):
        render(values)


def test_the_schema_knows_every_default(chart: Any) -> None:
    """Each object of the schema is closed, but for those that Kubernetes defines."""

    def open_ones(schema: Any, at: str) -> list[str]:
        if isinstance(schema, list):
            return [o for each in schema for o in open_ones(each, at)]
        if not isinstance(schema, dict):
            return []
        found = [
            o for key, each in schema.items() for o in open_ones(each, f"{at}.{key}")
        ]
        if schema.get("type") == "object" and "additionalProperties" not in schema:
            found.append(at.rpartition(".")[2])
        return found

    free = {"affinity", "settings", "global", "items", "valueFrom", "tlsConfig"}
    assert set(open_ones(chart.schema, "")) == free
