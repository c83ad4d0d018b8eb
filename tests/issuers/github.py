"""GitHub in memory, written after its documentation.

Source: GitHub REST API reference ("Personal access tokens" of organisations, "GitHub
Apps", "Deploy keys", "Secret scanning", "Revocation"). It was never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

LEAKED = "ghp_1234567890abcdef1234567890abcdef1234"


def private_key() -> str:
    """Private key of an app, as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ).decode()


@define
class FakeGitHub(FakeIssuer):
    """A token with access, an installation, a deploy key and a leaked token."""

    grants: list[dict[str, Any]] = field(
        factory=lambda: [{"id": 25, "token_id": 98}, {"id": 26, "token_id": 99}]
    )
    installed: dict[str, Any] = field(
        factory=lambda: {
            "id": 7, "app_id": 1, "account": {"login": "Acme"}, "suspended_at": None,
        }
    )  # fmt: skip
    gone: bool = False
    keys: list[dict[str, Any]] = field(factory=lambda: [{"id": 11}, {"id": 12}])
    selection: str = "all"
    secret: str = LEAKED
    works: bool = True

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the REST API does."""
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["orgs", "acme", "personal-access-tokens"]:
                return json(self.grants)
            case "POST", ["orgs", "acme", "personal-access-tokens", grant]:
                assert asked.body == {"action": "revoke"}
                self.grants = [g for g in self.grants if str(g["id"]) != grant]
            case _, ["app", "installations", *rest]:
                return self._installations(asked, rest)
            case "GET", ["installation", "repositories"]:
                repositories = [{"full_name": "Acme/one"}, {"full_name": "Acme/two"}]
                return json({
                    "repository_selection": self.selection,
                    "repositories": repositories,
                })  # fmt: skip
            case "GET", ["repos", "Acme", name, "keys"]:
                return json(self.keys if name == "two" else [])
            case "DELETE", ["repos", "Acme", "two", "keys", key]:
                self.keys = [k for k in self.keys if str(k["id"]) != key]
            case _, ["repos", "Acme", "one", "secret-scanning", "alerts", "3"]:
                return json({"number": 3, "secret": self.secret})
            case _, ["user" | "credentials", *_]:
                return self._leaked(asked)
            case _:
                raise AssertionError(asked)
        return self.yes(asked)

    def _installations(self, asked: Asked, rest: list[str]) -> HttpAnswer:
        match asked.method, rest:
            case "GET", []:
                return json([] if self.gone else [self.installed])
            case "DELETE", ["7"]:
                self.gone = True
            case "PUT", ["7", "suspended"]:
                self.installed["suspended_at"] = "2026-11-29T20:00:00Z"
            case "DELETE", ["7", "suspended"]:
                self.installed["suspended_at"] = None
            case _:
                raise AssertionError(asked)
        return self.yes(asked)

    def _leaked(self, asked: Asked) -> HttpAnswer:
        if asked.method == "POST":
            assert "authorization" not in asked.headers  # else it answers 403
            self.works = self.works and asked.body["credentials"] != [self.secret]
            return json({}, 202)
        assert asked.headers["authorization"] == f"Bearer {self.secret}"
        if self.works:
            return json({"login": "octocat"})
        return json({"message": "Bad credentials"}, 401)
