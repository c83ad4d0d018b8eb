"""Settings that hold a secret, and URLs that are asked with one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from streams.model.strict import Strict


class SharedSecret(Strict):
    """A secret that a vendor and this server share: its value, or a file with it."""

    value: SecretStr | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> SharedSecret:
        if (self.value is None) == (self.file is None):
            text = "set one of value (in the environment) and file"
            raise ValueError(text)
        return self

    def reveal(self) -> str:
        """Secret.

        Raises:
            OSError: the file cannot be read.
            ValueError: there is nothing in it.
        """
        if self.value is not None:
            found = self.value.get_secret_value()
        else:
            found = Path(str(self.file)).read_text("utf-8").strip()
        if not found:
            text = "the secret is empty"
            raise ValueError(text)
        return found


def check_url(url: str, *, allow_http: bool) -> None:
    """Refuse what must not be asked with credentials.

    Raises:
        ValueError: the URL is no https, is not ASCII, or holds more than a place.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        text = "url must be https (or set allow_http)"
        raise ValueError(text)
    if not url.isascii():
        text = "url must be ASCII: write the host as DNS has it (xn--...)"
        raise ValueError(text)
    if not parts.hostname or parts.username is not None or parts.query:
        text = "url needs a host, and neither a user nor a query"
        raise ValueError(text)
