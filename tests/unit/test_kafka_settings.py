"""How Kafka is reached, what its topics are, and who may do what."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.devkafka.broker_properties import Address, Security, properties
from streams.engines.kafka.records.layout import topics
from streams.engines.kafka.topics.acls import Acl, Operation, Role, acls
from streams.settings.kafka import KafkaSettings, KafkaTls, Sasl

pytestmark = pytest.mark.unit
PASSWORD = "open-sesame"
SASL = Sasl(username="guard", password=PASSWORD)


def test_plain_settings_give_plain_clients() -> None:
    """Without TLS and SASL a client gets neither."""
    client = KafkaSettings(bootstrap_servers="k:1").client()
    assert client["bootstrap_servers"] == "k:1"
    assert client["security_protocol"] == "PLAINTEXT"


def test_tls_and_scram_settings_reach_the_client() -> None:
    """TLS checks the broker's name; the password is read only there."""
    settings = KafkaSettings(tls=KafkaTls(), sasl=SASL)
    client = settings.client()
    assert client["security_protocol"] == "SASL_SSL"
    assert client["sasl_mechanism"] == "SCRAM-SHA-512"
    assert client["sasl_plain_password"] == PASSWORD
    assert client["ssl_context"].check_hostname
    assert client["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert PASSWORD not in repr(settings)


def test_missing_ca_file_is_an_error() -> None:
    """A file that cannot be read never means less checking."""
    with pytest.raises(OSError, match="No such file"):
        KafkaSettings(tls=KafkaTls(ca_file=Path("/nowhere/ca.pem"))).client()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"replication_factor": 1}, "min_insync_replicas"),
        ({"sasl": {**SASL.model_dump(), "mechanism": "PLAIN"}}, "in clear"),
        ({"prefix": "a b"}, "pattern"),
        ({"partitions": 0}, "greater than"),
        ({"partition": 3}, "Extra inputs"),
    ],
)
def test_contradictory_settings_are_refused(
    values: dict[str, object], reason: str
) -> None:
    """Settings that cannot hold together never start anything."""
    with pytest.raises(ValidationError, match=reason):
        KafkaSettings(**values)  # type: ignore[arg-type]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value has its variable, nested ones with two underscores."""
    monkeypatch.setenv("RESCIND_KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2")
    monkeypatch.setenv("RESCIND_KAFKA_RETENTION__DLQ", "3")
    monkeypatch.setenv("RESCIND_KAFKA_SASL__USERNAME", "u")
    monkeypatch.setenv("RESCIND_KAFKA_SASL__PASSWORD", "p")
    settings = KafkaSettings()
    assert settings.bootstrap_servers == "a:1,b:2"
    assert settings.retention.dlq == 3
    assert settings.sasl is not None
    assert settings.sasl.username == "u"


def test_topics_are_those_of_the_design() -> None:
    """Names, partitions and configurations: facts and receipts compacted."""
    by_name = {topic.name: topic for topic in topics(KafkaSettings())}
    assert list(by_name) == [
        f"rescind.{name}.v1"
        for name in (
            "facts", "receipts", "access", "invalidations", "findings", "audit", "dlq",
            "sources", "heads",
        )
    ]  # fmt: skip
    facts = by_name["rescind.facts.v1"]
    assert facts.replication_factor == 3
    assert {
        "cleanup.policy": "compact",
        "min.insync.replicas": "2",
        "unclean.leader.election.enable": "false",
        "segment.ms": "600000",
        "max.compaction.lag.ms": "600000",
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(64 * 1024 * 1024),
    }.items() <= facts.configs.items()
    compacted = {n for n, t in by_name.items() if "compact" in t.configs.values()}
    assert compacted == {
        "rescind.facts.v1", "rescind.receipts.v1", "rescind.sources.v1",
        "rescind.heads.v1",
    }  # fmt: skip
    for name in by_name.keys() - compacted:
        assert int(by_name[name].configs["retention.ms"]) > 0


def test_only_writers_of_facts_may_write_facts() -> None:
    """Facts come from ingress and prune, heartbeats from the registry, genesis so."""
    rights = acls(KafkaSettings(), {Role.GUARD: "edge"})
    writers = {
        acl.principal
        for acl in rights
        if acl.name == "rescind.facts.v1" and acl.operation is Operation.WRITE
    }
    assert writers == {
        f"User:rescind-{role}" for role in ("topics", "ingress", "registry", "prune")
    }


def test_a_guard_may_read_facts_write_receipts_and_nothing_else() -> None:
    """A guard runs at a customer's: its rights are two."""
    rights = acls(KafkaSettings(), {Role.GUARD: "edge"})
    assert [a.command() for a in rights if a.principal == "User:edge"] == [
        "kafka-acls.sh --add --allow-principal 'User:edge' "
        f"--operation {operation} --topic 'rescind.{topic}.v1'"
        for operation, topic in (("Read", "facts"), ("Write", "receipts"))
    ]


def test_broker_listens_on_loopback_alone() -> None:
    """No listener of a development broker can be reached from another machine."""
    address = Address(1, 2001, 2002)
    for security in (None, Security({"admin": "x"})):
        text = properties(address, [address], Path("/data"), security)
        assert "listeners=CLIENT://127.0.0.1:2001,CONTROLLER://127.0.0.1:2002" in text
        assert "0.0.0.0" not in text


def test_ingress_may_read_the_raw_topics_that_are_named_and_join_for_each() -> None:
    """A raw topic has a group of its own, and no other role sees it."""
    rights = [
        acl
        for acl in acls(KafkaSettings(), {}, ["idp-events"])
        if "idp-events" in acl.name
    ]
    assert rights == [
        Acl("User:rescind-ingress", Operation.READ, "topic", "idp-events"),
        Acl(
            "User:rescind-ingress",
            Operation.READ,
            "group",
            "rescind.ingress.idp-events",
        ),
    ]
