"""Signatures of Standard Webhooks."""

from __future__ import annotations

import base64
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from streams.model.times import SECOND
from streams.outbound.standard_webhooks import (
    checked_secret,
    headers,
    is_signed,
    public_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
# The first test of RFC 8032 section 7.1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
KEY = "whsk_" + base64.b64encode(SEED).decode()
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
        "whsk_",
        "whsk_" + base64.b64encode(bytes(31)).decode(),
    ],
)
def test_refuses_what_is_no_secret(secret: str) -> None:
    """Too short to be safe, too long for the specification, or not base64."""
    with pytest.raises(ValueError, match="24 to 64 random bytes") as raised:
        checked_secret(secret)

    shown = str(raised.value)
    assert len(secret) < 7 or secret[6:] not in shown


def test_signs_with_ed25519_what_the_public_key_verifies() -> None:
    """``v1a`` over id, stamp and body; the key is told as ``whpk_``."""
    signed = headers([KEY], ID, THEN, BODY)

    version, _, text = signed["webhook-signature"].partition(",")
    public = base64.b64decode(public_key(KEY).removeprefix("whpk_"))
    signature = base64.b64decode(text)
    key = Ed25519PublicKey.from_public_bytes(public)
    key.verify(signature, f"{ID}.1614265330.".encode() + BODY)
    assert version == "v1a"
    assert public.hex() == PUBLIC
    with pytest.raises(InvalidSignature):
        key.verify(signature, f"{ID}.1614265331.".encode() + BODY)


def test_goes_from_hmac_to_ed25519_without_a_gap() -> None:
    """Both sign while a receiver changes over; its library skips what it lacks."""
    now = int(datetime.now(UTC).timestamp()) * SECOND

    signed = headers([KEY, SECRET], ID, now, BODY)

    assert [part[:3] for part in signed["webhook-signature"].split()] == ["v1a", "v1,"]
    assert Webhook(SECRET).verify(BODY, signed) == {"test": 2432232314}


def test_takes_a_private_key_with_its_public_half() -> None:
    """Some tools write 64 bytes; the first 32 are the key."""
    long = "whsk_" + base64.b64encode(SEED + bytes.fromhex(PUBLIC)).decode()

    assert public_key(long) == public_key(KEY)
    with pytest.raises(ValueError, match="only whsk_"):
        public_key(SECRET)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_takes_secrets_of_the_specified_sizes(size: int) -> None:
    """24 to 64 bytes."""
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()

    assert checked_secret(secret) == secret


def test_what_is_signed_is_told_from_what_is_not() -> None:
    """By secret, time, body and id; old and new signatures may stand together."""
    sent = headers((OTHER, SECRET), ID, THEN, BODY)
    late = 301 * SECOND

    assert is_signed(SECRET, sent, THEN, BODY)
    assert is_signed(SECRET, sent, THEN + 300 * SECOND, BODY)
    wrong = [
        (SECRET, sent, THEN + late, BODY), (SECRET, sent, THEN - late, BODY),
        (SECRET, sent, THEN, BODY + b" "), (SECRET, sent, THEN, b"\xff"),
        (SECRET, sent | {"webhook-id": "msg_2"}, THEN, BODY),
        (SECRET, sent | {"webhook-id": ""}, THEN, BODY),
        (SECRET, sent | {"webhook-signature": "v1," + chr(0xE9)}, THEN, BODY),
        (SECRET, {}, THEN, BODY),
    ]  # fmt: skip
    wrong += [
        (SECRET, sent | {"webhook-timestamp": stamp}, THEN, BODY)
        for stamp in ("", "x", "9" * 30, "-1", chr(0xB2))
    ]
    only_other = headers((OTHER,), ID, THEN, BODY)
    wrong.append((SECRET, only_other, THEN, BODY))
    assert not any(is_signed(*each) for each in wrong)
