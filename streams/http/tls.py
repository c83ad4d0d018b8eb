"""TLS of our own server: certificates that are renewed while it runs.

Every handshake uses the context that is newest by then. Files that are broken, or not
of one pair yet, are logged and tried again; the last good ones serve on.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import structlog

from streams.settings.access import TlsSettings

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.access import CertificateFiles

LOOK_SECONDS: Final = 5.0
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

log = structlog.get_logger()


class ServedTls:
    """The context that a server listens with.

    Attributes:
        context: give this one to the server; it hands over to the newest.
        pair: key and certificates that are served now, PEM.
    """

    def __init__(self, settings: CertificateFiles) -> None:
        """Read the files.

        Raises:
            ValueError: they cannot be used; the text says which.
        """
        self._settings = settings
        self._stamps = self._now()
        try:
            self.pair = _pair(settings)
            self.context = self._newest = _context(settings)
        except (OSError, ValueError) as error:
            told = getattr(error, "strerror", None) or str(error)
            if isinstance(error, ssl.SSLError):
                told = "no certificates and key in PEM that belong together"
            raise ValueError(f"tls: {_names(settings)}: {told}") from error
        self.context.sni_callback = self._hand_over

    def _hand_over(self, connection: ssl.SSLObject, *_: object) -> None:
        connection.context = self._newest

    async def run(self) -> None:
        """Look for changed files until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the files again if they changed."""
        stamps = self._now()
        if stamps == self._stamps:
            return
        try:
            pair = _pair(self._settings)
            self._newest = _context(self._settings)
        except (OSError, ValueError) as error:
            log.warning("certificate_not_read", error=str(error))
            return
        self._stamps, self.pair = stamps, pair
        log.info("certificate_read", files=_names(self._settings))

    def _now(self) -> list[tuple[int, int, int] | None]:
        return [stamp(path) for path in _files(self._settings)]


def _pair(settings: CertificateFiles) -> tuple[bytes, bytes]:
    return settings.key.read_bytes(), settings.certificate.read_bytes()


def _context(settings: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # A key with a passphrase must not stop the server at a prompt.
    context.load_cert_chain(settings.certificate, settings.key, password="")
    if not isinstance(settings, TlsSettings):
        return context
    context.minimum_version = _VERSIONS[settings.minimum]
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        # Not required: probes have none. What needs a role needs a credential.
        context.verify_mode = ssl.CERT_OPTIONAL
        # A resumed session is not verified again, whoever is trusted by then.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _files(settings: CertificateFiles) -> list[Path]:
    files = [settings.certificate, settings.key]
    if isinstance(settings, TlsSettings) and settings.client_ca is not None:
        files.append(settings.client_ca)
    return files


def _names(settings: CertificateFiles) -> str:
    return ", ".join(map(str, _files(settings)))


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Fingerprint of a file's version; a mounted secret is swapped by a link."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
