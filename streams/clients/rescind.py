"""A small client of the server's HTTP API, for the commands.

No proxy is asked and no redirect is followed, so the token goes to the server that
was named and to nobody else.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from attrs import evolve, field, frozen

from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import HASHED_KINDS, has_secret, is_secret
from streams.model.secret_texts import has_secret_beside

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL: Final = "http://127.0.0.1:8750"
DEFAULT_DATA_DIR: Final = "rescind-data"
URL_FILE: Final = "server.url"
TOKEN_FILE: Final = "operator.token"  # noqa: S105 - a file's name
AUDIT_PUBLIC: Final = "audit.pub"
TIMEOUT: Final = 60.0  # seconds; an inventory of a million names takes some

SETTLED: Final = 5.0  # seconds that the table may take to hold a fact
POLL: Final = 0.02
REFUSED: Final = 2
NO_URL: Final = (
    "what you typed looks like a secret, and would stand in a URL: nobody was asked; "
    "name what you look for by its id, or a secret as `secret:VALUE` where an "
    "identifier is asked for"
)
UNREACHABLE: Final = 3


class ClientError(Exception):
    """A request that gave no answer; the text is one sentence that says what to do.

    Attributes:
        code: exit code of the command.
        document: what the server answered, where it did.
    """

    def __init__(
        self, text: str, code: int, document: Mapping[str, Any] | None = None
    ) -> None:
        """Keep sentence, exit code and answer."""
        super().__init__(text)
        self.code = code
        self.document = document


@frozen
class Client:
    """Talks to one server with one token.

    Attributes:
        ca_file: who may have signed its certificate; the system's by default.
        patience: seconds to wait for an answer.
    """

    url: str
    token: str = field(repr=False)
    ca_file: str | None = None
    patience: float = TIMEOUT

    def patient(self, seconds: float) -> Client:
        """Return a client of the same server that waits so long for an answer."""
        return evolve(self, patience=seconds)

    def get(self, path: str, name: str = "", **query: object) -> dict[str, Any]:
        """Ask a question: ``/v1/path/name?query``; None in the query is left out.

        Raises:
            ClientError: refused, or no server there.
        """
        _refuse_secrets(name, *query.values())
        target = f"/v1/{path}" + (f"/{quote(name, safe='')}" if name else "")
        given = {key: value for key, value in query.items() if value is not None}
        return self._call("GET", target + (f"?{urlencode(given)}" if given else ""))

    def post(self, path: str, document: Mapping[str, object]) -> dict[str, Any]:
        """Send an order to ``/v1/path``.

        Raises:
            ClientError: refused, or no server there.
        """
        return self._call("POST", f"/v1/{path}", json.dumps(document).encode())

    def delete(self, path: str, name: str) -> dict[str, Any]:
        """Remove what is at ``/v1/path/name``.

        Raises:
            ClientError: refused, or no server there.
        """
        _refuse_secrets(name)
        return self._call("DELETE", f"/v1/{path}/{quote(name, safe='')}")

    def _call(self, method: str, target: str, body: bytes = b"") -> dict[str, Any]:
        connection, base = _connection(self.url, self.ca_file, self.patience)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        try:
            connection.request(method, base + target, body or None, headers)
            answer = connection.getresponse()
            status, data = answer.status, answer.read()
        except ssl.SSLCertVerificationError as error:
            text = (
                f"the certificate of {self.url} is not good ({error.verify_message}): "
                "name its CA in RESCIND_CA_FILE, and in --url a host that it is for"
            )
            raise ClientError(text, UNREACHABLE) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            text = f"cannot reach {self.url} ({why}): is `rescind serve` running there?"
            raise ClientError(text, UNREACHABLE) from error
        finally:
            connection.close()
        return self._answer(status, data)

    def _answer(self, status: int, data: bytes) -> dict[str, Any]:
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            text = f"{self.url} does not answer as Rescind does: check --url"
            raise ClientError(text, UNREACHABLE)
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return document
        title, detail = document.get("title"), document.get("detail")
        if status == HTTPStatus.UNAUTHORIZED:
            text = "the server does not know the token: check it, or where it is from"
            raise ClientError(text, REFUSED)
        broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        text = f"the server says: {title}" + (f": {detail}" if detail else "")
        raise ClientError(text, UNREACHABLE if broken else REFUSED, document)


def _refuse_secrets(*texts: object) -> None:
    """Hold what was typed against the marks of secrets: a URL stands in many logs.

    Raises:
        ClientError: it looks like one.
    """
    for text in texts:
        if isinstance(text, str) and _is_secret(text):
            raise ClientError(NO_URL, REFUSED)


def _is_secret(text: str) -> bool:
    kind, _, value = text.strip().partition(":")
    named = value and is_secret(Identifier(kind.lower(), value))
    return bool(named) or has_secret(text) or has_secret_beside(text, HASHED_KINDS)


def _connection(
    url: str, ca_file: str | None, patience: float
) -> tuple[http.client.HTTPConnection, str]:
    """Return connection, not yet open, and the path that stands before each target."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or parts.username:
        text = f"{url!r} is not the URL of a server: write it as {DEFAULT_URL}"
        raise ClientError(text, REFUSED)
    base = parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=patience), base
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ClientError(f"cannot read the CA file {ca_file}", REFUSED) from error
    return http.client.HTTPSConnection(host, port, timeout=patience, context=tls), base


def client(url: str | None, token_file: Path | None) -> Client:
    """Find server and token: options, then the environment, then the data folder.

    RESCIND_CA_FILE names the CA of an HTTPS server that the system does not trust.

    Args:
        url: of ``--url``; else RESCIND_URL, what ``serve`` left in the data folder
            (RESCIND_DATA_DIR, ``rescind-data``), or the default address.
        token_file: of ``--token-file``; else RESCIND_TOKEN, the file of
            RESCIND_TOKEN_FILE, or the operator's token in the data folder.

    Raises:
        ClientError: there is no token, or it cannot be read.
    """
    env = os.environ
    folder = Path(env.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)
    found = url or env.get("RESCIND_URL") or _text(folder / URL_FILE) or DEFAULT_URL
    named = token_file or (
        None if env.get("RESCIND_TOKEN") else env.get("RESCIND_TOKEN_FILE")
    )
    if named:
        token = _text(Path(named))
        if token is None:
            raise ClientError(f"cannot read the token file {named}", REFUSED)
    else:
        token = env.get("RESCIND_TOKEN") or _text(folder / TOKEN_FILE)
    if not token:
        text = (
            f"no token: there is no readable {folder / TOKEN_FILE}; set RESCIND_TOKEN, "
            "or name a file with --token-file"
        )
        raise ClientError(text, REFUSED)
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError("the token is not one line of plain characters", REFUSED)
    return Client(found.strip(), token, env.get("RESCIND_CA_FILE") or None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return None


def settled(client: Client, name: str, token: str) -> dict[str, Any] | None:
    """Wait until the table holds a fact, and give what `why` says then.

    None where it does not by then; what is accepted stays so without it.
    """
    wanted = int(token.rpartition(":")[2])
    end = time.monotonic() + SETTLED
    while time.monotonic() < end:
        with suppress(ClientError):
            seen: dict[str, Any] = client.get("why", name)
            if int(seen["as_of"].rpartition(":")[2]) >= wanted:
                return seen
        time.sleep(POLL)
    return None
