"""Settings of sources: how their bytes are read, and where they come from."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field

from streams.model.strict import Strict
from streams.settings.formats import SourceOrMapping


class SourceSettings(Strict):
    """How the bytes of one source are read.

    Attributes:
        format: a built-in source, or ``generic`` with a mapping file.
        point: name of the enforcement point that its access lines belong to, where
            the lines do not say.
    """

    format: SourceOrMapping
    mapping: Path | None = None
    point: str = ""


class SsfStream(Strict):
    """A Shared Signals stream, pushed to ``/v1/ssf/push/NAME`` or polled.

    Attributes:
        issuer: ``iss`` of the stream, compared exactly.
        audience: the values of ``aud`` that mean us.
        jwks: file or https URL of the transmitter's keys; empty: the ``jwks_uri`` of
            the issuer's configuration.
        delivery: whether SETs are pushed to us, or polled here.
        endpoint: ``endpoint_url`` of a polled stream.
        poll_seconds: between two polls; 0 lets the transmitter hold the request.
        authority: on whose behalf its SETs speak; a polled stream needs it, and of a
            pushed one the bearer token must then be of the same.
        without_bearer: take pushes without a bearer token too, from transmitters that
            send none: the signature alone says who speaks. Needs authority.
        stream_id: at the transmitter; with it and a token verifications are asked for.
        token_file: with the bearer token of the transmitter's API, read anew each time;
            with token_url, the secret of our client.
        token_env: name of an environment variable with the token, instead of a file.
        token_url: where tokens are got by client credentials (RFC 6749 section 4.4).
        client_id: of our client there.
        allow_private: transmitters on private addresses, and http on loopback.
        verify_seconds: between two verifications that are asked for; 0 never asks.
        silent_seconds: without any event, after which the stream is a finding; unset:
            three times ``verify_seconds`` where verifications are asked for.
    """

    issuer: str
    audience: tuple[str, ...] = Field(min_length=1)
    jwks: str = ""
    delivery: Literal["push", "poll"] = "push"
    endpoint: str = ""
    poll_seconds: float = Field(default=0.0, ge=0)
    authority: str = ""
    without_bearer: bool = False
    stream_id: str = ""
    token_file: Path | None = None
    token_env: str = ""
    token_url: str = ""
    client_id: str = ""
    allow_private: bool = False
    verify_seconds: float = Field(default=300.0, ge=0)
    silent_seconds: float | None = Field(default=None, ge=0)

    @property
    def has_token(self) -> bool:
        """Whether the transmitter's API can be called."""
        return self.token_file is not None or bool(self.token_env)


class WatchSettings(Strict):
    """A growing log file, or a folder of them, that the server reads itself."""

    path: Path
    source: str
    authority: str
    poll_seconds: float = Field(default=0.2, gt=0)


class Socket(Strict):
    """A socket that a log is sent to, line by line: OpenBao's socket audit device.

    Attributes:
        listen: ``HOST:PORT``, or ``unix:PATH``.
        mode: of the file of a Unix socket, octal.
        allow_from: networks from which TCP connections are accepted. Every client that
            can connect can make any statement that the authority is entitled to.
    """

    listen: str = Field(pattern=r"^(unix:/.+|[^/]+:[0-9]{1,5})$")
    source: str
    authority: str
    mode: str = Field(default="0600", pattern=r"^0?[0-7]{3}$")
    allow_from: tuple[IPv4Network | IPv6Network, ...] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )


class RawTopicSettings(Strict):
    """A topic on Kafka that a source publishes to, read by ``rescind ingress``."""

    topic: str
    source: str
    authority: str
