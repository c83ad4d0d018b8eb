"""How Rescind is connected to the realm: the settings that both runs share.

They are those of docs/sources/keycloak.md.
"""

from __future__ import annotations

from typing import Any, Final

from tests.recordings.keycloak.realm import OURS
from tests.recordings.keycloak.scenario import LOOKBACK

AUTHORITY: Final = "keycloak"
INTERVAL: Final = 0.05  # seconds; a test does not want to wait


def polling(url: str, realm: str, issuer: str, secret: str) -> dict[str, Any]:
    """Give the server's settings that read user events and admin events.

    Args:
        url: of Keycloak.
        realm: its name.
        issuer: ``iss`` of its tokens.
        secret: of our client.
    """
    grants: list[dict[str, str]] = [
        {"kind": "keycloak.*"}, {"kind": "session.id"}, {"kind": "jwt.jti"},
        {"kind": "jwt.sub", "qualifier": f"{issuer}|"},
    ]  # fmt: skip
    return {
        "authorities": {AUTHORITY: {"grants": grants}},
        "polls": {
            AUTHORITY: {
                "vendor": "keycloak", "url": url, "realm": realm, "issuer": issuer,
                "authority": AUTHORITY, "client_id": OURS,
                "client_secret": {"value": secret}, "allow_http": True,
                "interval": INTERVAL, "exchange_lookback": LOOKBACK,
            }
        },
    }  # fmt: skip


def claims(issuer: str, jwks: str, realm_id: str) -> dict[str, Any]:
    """Give the decision point's settings of the issuer: what its claims name.

    Args:
        issuer: ``iss`` of the tokens.
        jwks: where its keys are.
        realm_id: the realm's own id, which its events carry; not its name.
    """
    return {
        "issuer": issuer,
        "audience": ["*"],
        "jwks": jwks,
        "claims": [
            {"claim": "jti", "kind": "jwt.jti"},
            {"claim": "sub", "kind": "jwt.sub", "by_issuer": True},
            {"claim": "sid", "kind": "session.id"},
            {"claim": "azp", "kind": "keycloak.client", "qualifier": realm_id},
            {"claim": "sid", "kind": "keycloak.client_session", "with_claim": "azp"},
        ],
    }
