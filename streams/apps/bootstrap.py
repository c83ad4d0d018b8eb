"""What a server makes for itself on its first start: a token and keys to sign with."""

from __future__ import annotations

import base64
import hashlib
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from streams.clients.rescind import AUDIT_PUBLIC, TOKEN_FILE
from streams.engines.embedded.data_folder import LOCK, lock_folder
from streams.outbound.standard_webhooks import PREFIX
from streams.process.private_folder import create_private, make_private
from streams.process.whole_file import write_private
from streams.services.audit_heads import HeadKey
from streams.settings.access import StaticToken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.settings.server import Settings

SETTINGS: Final = "operator.json"
AUDIT_KEY: Final = "audit.key"
WEBHOOK: Final = "webhook.secret"
# A link is seen by whoever sees where the server writes: it shows, and it denies.
LINK_ROLES: Final = frozenset({"viewer", "revoker"})


def operator_token(folder: Path) -> tuple[StaticToken, bool]:
    """Return the settings of the operator's token, and whether it was made just now.

    The data folder keeps its SHA-256; the token itself is written once, to a file that
    its owner alone may read and that may be moved to where secrets are kept.

    Raises:
        InUseError: another process serves from the folder.
        ValueError: the stored settings are broken.
    """
    kept = folder / SETTINGS
    with _mine(folder):
        fresh = not kept.exists()
        if fresh:
            token = secrets.token_urlsafe(32)
            digest = hashlib.sha256(token.encode()).hexdigest()
            operator = StaticToken(
                name="operator",
                sha256=digest,
                roles=frozenset({"viewer", "revoker", "restorer"}),
            )
            # The token first: after a crash between the two both are made anew.
            write_private(folder / TOKEN_FILE, f"{token}\n")
            write_private(kept, f"{operator.model_dump_json()}\n")
        return StaticToken.model_validate_json(kept.read_text("utf-8")), fresh


def console_credential(settings: Settings) -> tuple[StaticToken, str] | None:
    """Credential of the session that the console's one-time link opens.

    It is the operator's of the first start, without what can turn a denial into an
    allow, and lives as long as the process. None where the settings let operators in
    by credentials of their own, or want no link.
    """
    kept, console = settings.data_dir / SETTINGS, settings.console
    if not (console.enabled and console.link and kept.exists()):
        return None
    operator = StaticToken.model_validate_json(kept.read_text("utf-8"))
    if operator not in settings.tokens:
        return None
    credential = secrets.token_urlsafe(32)
    digest = hashlib.sha256(credential.encode()).hexdigest()
    made = StaticToken(
        name=f"{operator.name}-console",
        sha256=digest,
        roles=operator.roles & LINK_ROLES,
        person=operator.person or operator.name,
    )
    return made, credential


def webhook_secret(folder: Path) -> tuple[Path, str]:
    """Secret that signs alerts and its file, made where there is none.

    Raises:
        InUseError: another process serves from the folder.
    """
    path = folder / WEBHOOK
    with _mine(folder):
        if not path.exists():
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            write_private(path, f"{PREFIX + key}\n")
        return path, path.read_text("utf-8").strip()


def audit_key(folder: Path, given: Path | None) -> HeadKey:
    """Key that signs the audit chain, made where the settings name none.

    The public one is written beside the log, for who verifies.

    Args:
        folder: the data folder.
        given: file of the settings' own key, which belongs on another machine's disk.

    Raises:
        InUseError: another process serves from the folder.
        ValueError: the key cannot be used; the text says why.
    """
    path = given or folder / AUDIT_KEY
    with _mine(folder):
        if given is None and not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            write_private(path, f"{pem.decode().strip()}\n")
        try:
            key = HeadKey.read(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"audit_key: {path}: {error}") from error
        public, text = folder / AUDIT_PUBLIC, key.public_pem()
        if not public.exists() or public.read_text("utf-8") != text:
            write_private(public, f"{text.strip()}\n")
    return key


@contextmanager
def _mine(folder: Path) -> Iterator[None]:
    """Hold the lock that the store will hold, so that nobody else makes files."""
    make_private(folder)
    create_private(folder / LOCK)
    with lock_folder(folder):
        yield
