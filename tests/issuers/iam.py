"""IAM and STS in memory, as far as the answers of a fault need; moto is the rest.

Source: IAM API reference, STS API reference (shapes of the answers, error codes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import define, field

from streams.outbound.answers import HttpAnswer
from tests.issuers.fake import FakeIssuer

if TYPE_CHECKING:
    from tests.issuers.fake import Asked

ACCOUNT = "111122223333"
KEY = "AKIAIOSFODNN7EXAMPLE"
OLD = "2026-11-01T08:00:00Z"


@define
class FakeIam(FakeIssuer):
    """A user with a key and a password, and a role.

    Attributes:
        created: when which key was made; all others in OLD times, as the password was.
        password_of: when the password was made.
    """

    keys: dict[str, str] = field(factory=lambda: {KEY: "Active"})
    created: dict[str, str] = field(factory=dict)
    password: bool = True
    password_of: str = OLD
    policies: dict[str, str] = field(factory=dict)

    def changes(self, asked: Asked) -> bool:
        """Tell whether an action changes something."""
        return not asked.body["Action"].startswith(("Get", "List"))

    def yes(self, asked: Asked) -> HttpAnswer:
        """Say that an action was done."""
        return _xml(asked)

    def acts(self) -> list[str]:
        """Give the actions that were asked for."""
        return [one.body["Action"] for one in self.asked if self.changes(one)]

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as IAM does."""
        body: dict[str, Any] = asked.body
        action, key = body["Action"], body.get("AccessKeyId", "")
        if action.endswith(("UserPolicy", "RolePolicy")):
            return self._policy(asked)
        if key and action != "GetAccessKeyInfo":
            return self._key(asked, key)
        if action.endswith("LoginProfile"):
            if not self.password:
                return error("NoSuchEntity", 404)
            self.password = action != "DeleteLoginProfile"
        inner = {
            "GetLoginProfile": f"<CreateDate>{self.password_of}</CreateDate>",
            "GetAccessKeyInfo": f"<Account>{ACCOUNT}</Account>",
            "ListAccessKeys": "".join(
                f"<member><AccessKeyId>{name}</AccessKeyId>"
                f"<CreateDate>{self.created.get(name, OLD)}</CreateDate>"
                f"<Status>{status}</Status></member>"
                for name, status in self.keys.items()
            ),
        }
        return _xml(asked, inner.get(action, ""))

    def _key(self, asked: Asked, key: str) -> HttpAnswer:
        if key not in self.keys:
            return error("NoSuchEntity", 404)
        match asked.body["Action"]:
            case "UpdateAccessKey":
                self.keys[key] = asked.body["Status"]
            case "DeleteAccessKey":
                del self.keys[key]
        return _xml(asked, "<UserName>planner</UserName>")

    def _policy(self, asked: Asked) -> HttpAnswer:
        name = asked.body["PolicyName"]
        if asked.body["Action"].startswith("Put"):
            self.policies[name] = asked.body["PolicyDocument"]
            return _xml(asked)
        if name not in self.policies:
            return error("NoSuchEntity", 404)
        if asked.body["Action"].startswith("Delete"):
            del self.policies[name]
            return _xml(asked)
        document = quote(self.policies[name])
        return _xml(asked, f"<PolicyDocument>{document}</PolicyDocument>")


def _xml(asked: Asked, inner: str = "") -> HttpAnswer:
    action = asked.body["Action"]
    text = (
        f'<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<{action}Result>{inner}</{action}Result></{action}Response>"
    )
    return HttpAnswer({}, text.encode())


def error(code: str, status: int) -> HttpAnswer:
    """Give an error of IAM."""
    text = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"
    return HttpAnswer({}, text.encode(), status)
