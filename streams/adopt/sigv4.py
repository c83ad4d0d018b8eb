"""Sign a request to AWS: Signature Version 4.

Source: AWS General Reference, "Create a signed AWS API request". The request has no
query, as those of the IAM Query API by POST.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from streams.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM: Final = "AWS4-HMAC-SHA256"
FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"


@frozen
class Keys:
    """Credentials of AWS.

    Attributes:
        access_key: the id, no secret.
        secret_key: what signs.
        session_token: of temporary credentials; empty for others.
        region: where the service is; IAM is in us-east-1.
        service: its name in signatures.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str = "us-east-1"
    service: str = "iam"


def signed(keys: Keys, url: str, body: bytes, now: int) -> dict[str, str]:
    """Give the headers of a signed POST of a form.

    Args:
        keys: whose request it is.
        url: without a query.
        body: the form, encoded.
        now: the clock (ns); AWS takes five minutes either way.
    """
    stamp = _stamp(now)
    parts = urlsplit(url)
    headers = {"content-type": FORM, "host": parts.netloc, "x-amz-date": stamp}
    if keys.session_token:
        headers["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(headers))
    canonical = "\n".join([
        "POST",
        quote(parts.path or "/", safe="/-_.~"),
        "",
        *(f"{name}:{headers[name]}" for name in sorted(headers)),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    scope = f"{stamp[:8]}/{keys.region}/{keys.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    signature = _keyed(_signing_key(keys, stamp[:8]), text).hex()
    given = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}"
    del headers["host"]  # the client's own
    return headers | {"authorization": f"{ALGORITHM} {given}, Signature={signature}"}


def _signing_key(keys: Keys, day: str) -> bytes:
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, keys.region, keys.service, "aws4_request"):
        key = _keyed(key, part)
    return key


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _stamp(now: int) -> str:
    """Write a time as ``20260131T090000Z``."""
    second = rfc3339(now - now % 10**9) or ""
    return second.replace("-", "").replace(":", "")


def keys_of(given: Mapping[str, str]) -> Keys | None:
    """Read the variables that AWS's own programs read; None without them."""
    access_key = given.get("AWS_ACCESS_KEY_ID", "")
    secret_key = given.get("AWS_SECRET_ACCESS_KEY", "")
    if not access_key or not secret_key:
        return None
    return Keys(access_key, secret_key, given.get("AWS_SESSION_TOKEN", ""))
