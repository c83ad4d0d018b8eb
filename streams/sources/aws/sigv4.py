"""Sign a request to AWS with Signature Version 4: a pure function.

Source: AWS Identity and Access Management user guide, "Create a signed AWS API
request"; Amazon S3 API reference, "Authenticating Requests: Using the Authorization
Header". The examples of both are tests.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlsplit

from attrs import field, frozen

from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SHA256: Final = "x-amz-content-sha256"


@frozen
class Credentials:
    """An access key; ``session`` is the token of a temporary one."""

    key_id: str
    key: str = field(repr=False)
    session: str = field(default="", repr=False)


@frozen
class Signer:
    """Signs for one service in one region."""

    service: str
    region: str

    def signed(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        by: Credentials,
        now: int,
    ) -> dict[str, str]:
        """Headers to be sent, with the signature among them.

        Args:
            method: of the request.
            url: as it is sent. Its path is signed as it is for S3, and encoded once
                more for every other service.
            headers: further ones, names in lower case.
            body: all of it.
            by: the access key.
            now: ns; AWS refuses what is 15 minutes off.
        """
        parts = urlsplit(url)
        moment = _moment(now)
        digest = hashlib.sha256(body).hexdigest()
        sent = {"host": parts.netloc, "x-amz-date": moment, **headers}
        if self.service == "s3":
            sent[SHA256] = digest
        if by.session:
            sent["x-amz-security-token"] = by.session
        names = ";".join(sorted(sent))
        path = parts.path or "/"
        if self.service != "s3":
            path = quote(path, safe="/-_.~")
        canonical = "\n".join([
            method, path, _query(parts.query),
            *(f"{name}:{sent[name].strip()}" for name in sorted(sent)), "",
            names, digest,
        ])  # fmt: skip
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        signature = self._signature(canonical, moment, scope, by.key)
        sent["authorization"] = (
            f"{ALGORITHM} Credential={by.key_id}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        del sent["host"]  # the client writes it itself
        return sent

    def _signature(self, canonical: str, moment: str, scope: str, key: str) -> str:
        secret = f"AWS4{key}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{digest}"
        return hmac.digest(secret, text.encode(), "sha256").hex()


def _query(query: str) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _moment(now: int) -> str:
    whole = str(rfc3339(now - now % SECOND))
    return whole.replace("-", "").replace(":", "")
