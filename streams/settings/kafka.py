"""How to reach Kafka and how its topics are laid out.

From arguments, or from the environment with the prefix ``RESCIND_KAFKA_``; nested
values use two underscores: ``RESCIND_KAFKA_SASL__USERNAME``.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import (
    AnyHttpUrl,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.model.strict import Strict

DAY_MS: Final = 24 * 3600 * 1000
_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
PREFIX_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class KafkaTls(Strict):
    """Encrypt, and check the broker's name; with a certificate, mutual TLS.

    Attributes:
        ca_file: who may have signed the broker's certificate; the system's by default.
        cert_file: the client's certificate chain.
        key_file: its key, where it is not in the same file.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None

    def context(self) -> ssl.SSLContext:
        """Context for connections.

        Raises:
            OSError: a file cannot be read; ssl.SSLError: or is not what it should be.
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file is not None:
            secret = self.key_password
            password = secret.get_secret_value() if secret is not None else None
            context.load_cert_chain(self.cert_file, self.key_file, password)
        return context


class Sasl(Strict):
    """Who we are, by password."""

    mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    username: str
    password: SecretStr


class SchemaRegistrySettings(Strict):
    """A schema registry that speaks the REST API of Confluent's.

    Attributes:
        url: ``https://host:port``; ``http`` only without a password.
        ca_file: who may have signed its certificate; the system's by default.
    """

    url: AnyHttpUrl
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url.username or self.url.password:
            raise ValueError("set username and password on their own, not in the url")
        if (self.username is None) is not (self.password is None):
            raise ValueError("username and password are set together")
        if self.password is not None and self.url.scheme != "https":
            raise ValueError("http would send the password in clear: use https")
        return self


class Retention(Strict):
    """How long the topics that are streams keep records, in days.

    Longer than the longest outage of a reader, which else misses records.
    """

    access: float = Field(default=7, gt=0)
    invalidations: float = Field(default=7, gt=0)
    findings: float = Field(default=90, gt=0)
    audit: float = Field(default=400, gt=0)
    dlq: float = Field(default=30, gt=0)


class KafkaSettings(BaseSettings):
    """Settings of all that speaks to Kafka.

    Attributes:
        bootstrap_servers: ``host:port``, several with commas.
        prefix: first part of the names of topics and groups.
        partitions: of ``facts`` and of all that follows it; fixed for its life.
        access_partitions: of ``access``; fixed for its life.
        min_insync_replicas: copies that must have a record before it is acked.
        digest_key: of the hashes in dead letters, 32 random bytes or more in hex, the
            same for all processes; without one a dead letter has none.
        schema_registry: gives the ids of schemas; without one they are the bundled.
        clock_limit: by how much a machine's clock may differ from the brokers', in
            seconds; beyond, a process is not ready and takes their time.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_KAFKA_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    bootstrap_servers: str = "127.0.0.1:9092"
    prefix: str = Field(default="rescind", pattern=PREFIX_PATTERN)
    partitions: int = Field(default=24, ge=1, le=10_000)
    access_partitions: int = Field(default=24, ge=1, le=10_000)
    replication_factor: int = Field(default=3, ge=1, le=9)
    min_insync_replicas: int = Field(default=2, ge=1, le=9)
    retention: Retention = Retention()
    tls: KafkaTls | None = None
    sasl: Sasl | None = None
    digest_key: SecretStr | None = None
    schema_registry: SchemaRegistrySettings | None = None
    request_timeout_ms: int = Field(default=10_000, ge=100)
    clock_limit: float = Field(default=2.0, gt=0, le=60)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas is above replication_factor")
        if self.sasl and self.sasl.mechanism == "PLAIN" and self.tls is None:
            raise ValueError(
                "mechanism PLAIN would send the password in clear: set tls"
            )
        if self.digest_key is not None and not _KEY.fullmatch(
            self.digest_key.get_secret_value()
        ):
            raise ValueError("digest_key is no hex of 32 bytes or more")
        return self

    def digest(self) -> bytes | None:
        """Key of the hashes in dead letters."""
        if self.digest_key is None:
            return None
        return bytes.fromhex(self.digest_key.get_secret_value())

    def client(self) -> dict[str, Any]:
        """Arguments with which every aiokafka client connects.

        Raises:
            OSError: a file of `KafkaTls` cannot be read.
        """
        reach: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "request_timeout_ms": self.request_timeout_ms,
            "security_protocol": _PROTOCOLS[
                self.sasl is not None, self.tls is not None
            ],
        }
        if self.tls is not None:
            reach["ssl_context"] = self.tls.context()
        if self.sasl is not None:
            reach["sasl_mechanism"] = self.sasl.mechanism
            reach["sasl_plain_username"] = self.sasl.username
            reach["sasl_plain_password"] = self.sasl.password.get_secret_value()
        return reach

    def topic(self, name: str) -> str:
        """Full name of a topic, ``facts`` to ``rescind.facts.v1``."""
        return f"{self.prefix}.{name}.v1"

    def group(self, stage: str) -> str:
        """Consumer group of a stage, ``registry`` to ``rescind.registry``."""
        return f"{self.prefix}.{stage}"


_PROTOCOLS: Final = {
    (False, False): "PLAINTEXT",
    (False, True): "SSL",
    (True, False): "SASL_PLAINTEXT",
    (True, True): "SASL_SSL",
}
