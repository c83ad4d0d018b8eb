"""What people call names of some kinds; the others are called by their noun."""

from __future__ import annotations

from typing import Final

NOUNS: Final = {
    "aws.access_key": "an access key",
    "aws.login_profile": "a console login",
    "jwt.jti": "a token",
    "secret": "a secret",
    "session.id": "a session",
    "vault.accessor": "a token",
    "vault.token_hmac": "a token",
    "vault.lease": "a lease",
    "vault.lease_hmac": "a lease",
    "vault.secret_id_accessor": "a secret id",
}
