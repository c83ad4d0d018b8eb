"""Signatures of Standard Webhooks."""

from __future__ import annotations

import base64
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from streams.sinks.standard_webhooks import checked_secret, headers
from streams.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
BODY = b'{"test": 2432232314}'
THEN = 1_614_265_330 * SECOND + 999_999_999


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/Los_Angeles"])
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the machine into a time zone, and back."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_signs_the_published_vector_in_any_time_zone() -> None:
    """The package would take a local datetime for UTC."""
    assert headers([SECRET], ID, THEN, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNED,
    }


def test_is_verified_with_the_old_and_with_the_new_secret() -> None:
    """While secrets are exchanged a receiver may know either."""
    now = int(datetime.now(UTC).timestamp()) * SECOND

    signed = headers([OTHER, SECRET], ID, now, BODY)

    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(BODY, signed) == {"test": 2432232314}


def test_is_refused_after_five_minutes() -> None:
    """The stamp is the attempt's, so a retry hours later must carry its own."""
    now = int(datetime.now(UTC).timestamp()) * SECOND

    signed = headers([SECRET], ID, now - 301 * SECOND, BODY)

    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(BODY, signed)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_hunter2!",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_\N{HORSE}",
    ],
)
def test_refuses_what_is_no_secret(secret: str) -> None:
    """Too short to be safe, too long for the specification, or not base64."""
    with pytest.raises(ValueError, match="24 to 64 random bytes") as raised:
        checked_secret(secret)

    assert not secret.removeprefix("whsec_") or secret[6:] not in str(raised.value)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_takes_secrets_of_the_specified_sizes(size: int) -> None:
    """24 to 64 bytes."""
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()

    assert checked_secret(secret) == secret
