"""OpenAI, Anthropic and LiteLLM in memory, written after their documentation.

Source: OpenAI API reference, Administration; Anthropic Admin API reference; LiteLLM's
OpenAPI document (/team/info, /key/list, /key/block). None of them was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

OPENAI = "/v1/organization"
ANTHROPIC = "/v1/organizations"


@define
class FakeOpenAi(FakeIssuer):
    """Two projects; the second one has a key and a service account."""

    places: set[str] = field(
        factory=lambda: {
            f"{OPENAI}/projects/p-2/api_keys/key_1", f"{OPENAI}/users/user-1",
            f"{OPENAI}/projects/p-2/service_accounts/sa-1",
            f"{OPENAI}/projects/p-2",
        }
    )  # fmt: skip

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the Administration API does."""
        if asked.path == f"{OPENAI}/projects":
            assert asked.query["include_archived"] == "false"
            last = "p-2" if "after" in asked.query else "p-1"
            page = {"data": [{"id": last}], "has_more": last == "p-1", "last_id": last}
            return json(page)
        if asked.path not in self.places:
            said = {"message": "not found", "type": "invalid_request_error"}
            return json({"error": said}, 404)
        if asked.method == "DELETE":
            self.places.remove(asked.path)
            return json({"deleted": True})
        return json({"id": asked.path.rpartition("/")[2]})

    def yes(self, asked: Asked) -> HttpAnswer:
        """Say that it was deleted."""
        del asked
        return json({"deleted": True})


@define
class FakeAnthropic(FakeIssuer):
    """A key and a member."""

    status: str = "active"
    members: set[str] = field(factory=lambda: {"user_1"})

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the Admin API does."""
        assert asked.headers["anthropic-version"] == "2023-06-01"
        match asked.method, asked.path.removeprefix(ANTHROPIC).strip("/").split("/"):
            case "GET", ["api_keys", "apikey_1"]:
                return json({"id": "apikey_1", "status": self.status})
            case "POST", ["api_keys", "apikey_1"]:
                if self.status == "archived":  # for good
                    return json({"id": "apikey_1", "status": self.status})
                self.status = asked.body["status"]
                return json({"id": "apikey_1", "status": self.status})
            case "GET", ["users", user] if user in self.members:
                return json({"id": user})
            case "DELETE", ["users", user] if user in self.members:
                self.members.remove(user)
                return json({"id": user, "type": "user_deleted"})
        error = {"type": "not_found_error", "message": "Not found"}
        return json({"type": "error", "error": error}, 404)


@define
class FakeLiteLlm(FakeIssuer):
    """A team, and a user with three keys on two pages, one of them blocked."""

    team: dict[str, Any] = field(factory=lambda: {"team_id": "t", "blocked": False})
    keys: dict[str, bool] = field(
        factory=lambda: {"a" * 64: False, "b" * 64: True, "c" * 64: False}
    )
    users: set[str] = field(factory=lambda: {"u"})
    old: bool = False  # it answers 200 for a user that it does not have

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the proxy does."""
        match asked.path:
            case "/team/info":
                assert asked.query == {"team_id": "t"}
                return json({"team_id": "t", "team_info": self.team})
            case "/team/block" | "/team/unblock":
                self.team["blocked"] = asked.path == "/team/block"
                return json(self.team)
            case "/user/info":
                return self._user(asked.query["user_id"])
            case "/key/list":
                return self._listed(int(asked.query["page"]))
            case "/key/block":
                self.keys[asked.body["key"]] = True
                return json({})
        raise AssertionError(asked)

    def _user(self, user: str) -> HttpAnswer:
        if user in self.users:
            return json({"user_id": user, "user_info": {"user_id": user}, "keys": []})
        if self.old:
            return json({"user_id": user, "user_info": {"spend": 0}, "keys": []})
        error = {"message": f"User {user} not found", "code": "404"}
        return json({"error": error}, 404)

    def _listed(self, page: int) -> HttpAnswer:
        found = [
            {"token": token, "blocked": blocked or None, "user_id": "u"}
            for token, blocked in self.keys.items()
        ]
        some = found[(page - 1) * 2 : page * 2]
        return json({"keys": some, "current_page": page, "total_pages": 2})
