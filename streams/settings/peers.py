"""Settings of the other processes of a fleet on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from streams.model.strict import Strict


def _with_place(url: str) -> str:
    """Refuse a host or a port that nobody can have: every request would fail by it.

    Raises:
        ValueError: it is one.
    """
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        usable = False
    if not usable:
        text = "no such host or port can be: write https://HOST:PORT"
        raise ValueError(text)
    return url


PeerUrl = Annotated[
    str, Field(pattern=r"^https?://[^/?#@\s]+$"), AfterValidator(_with_place)
]


class PeerSettings(Strict):
    """Where the processes are that answer what this one does not.

    A URL stands for all addresses of its host, such as those of a headless Service.
    Callers' credentials are passed on to them, and to no address from anywhere else.

    Attributes:
        ingress: every ingress, ``https://HOST:PORT``.
        workers: every worker, this one included.
        notify: every notify process.
        insights: the processes of `rescind insights`, where there are any.
        ca_file: those who may have signed their certificates, PEM; the system's by
            default. A certificate has to be for the host of the URL.
    """

    ingress: tuple[PeerUrl, ...] = ()
    workers: tuple[PeerUrl, ...] = ()
    notify: tuple[PeerUrl, ...] = ()
    insights: tuple[PeerUrl, ...] = ()
    ca_file: Path | None = None
