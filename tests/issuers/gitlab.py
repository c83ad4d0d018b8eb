"""GitLab in memory, written after its documentation.

Source: GitLab REST API ("Personal access tokens", "Project access tokens", "Group
access tokens", "Deploy tokens", "Users", "User moderation"). It was never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

API = "/api/v4"


def token(number: int, user: int) -> dict[str, Any]:
    """Give a token that works."""
    return {"id": number, "user_id": user, "revoked": False, "active": True}


def deploy_token(number: int) -> dict[str, Any]:
    """Give a deploy token that works."""
    return {"id": number, "revoked": False, "expired": False}


@define
class FakeGitLab(FakeIssuer):
    """A user with two tokens, a project and a group with a token of each sort.

    Attributes:
        tokens: all of the instance: its projects and groups have those of bots.
        bots: number of the token, by the folder that has it.
        deploys: deploy tokens by the folder that has them.
        users: states by number.
        admin: an administrator asks, with what Admin Mode wants.
    """

    tokens: dict[int, dict[str, Any]] = field(
        factory=lambda: {
            41: token(41, 7), 42: token(42, 7), 43: token(43, 8), 44: token(44, 9),
            45: token(45, 10),
        }
    )  # fmt: skip
    bots: dict[str, int] = field(factory=lambda: {"projects/5": 44, "groups/6": 45})
    deploys: dict[str, list[dict[str, Any]]] = field(
        factory=lambda: {
            "projects/5": [deploy_token(n) for n in range(1, 104)],
            "groups/6": [deploy_token(200)],
        }
    )
    users: dict[int, str] = field(factory=lambda: {7: "active", 8: "active"})
    admin: bool = True

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the REST API does."""
        parts = asked.path.removeprefix(f"{API}/").split("/")
        match asked.method, parts:
            case "GET", ["user"]:  # with Admin Mode too, whatever the scope
                return json({"id": 1, "is_admin": True})
            case "GET", ["deploy_tokens"]:
                return json([]) if self.admin else json({"message": "403"}, 403)
            case _, ["users", user, *rest]:
                return self._user(int(user), rest)
            case "GET", ["personal_access_tokens"]:
                return self._tokens_of(asked)
            case _, ["personal_access_tokens", number]:
                found = self.tokens.get(int(number))
                return self._token(asked, found if self.admin else None)
            case _, [owners, owner, "access_tokens", number]:
                mine = self.bots.get(f"{owners}/{owner}") == int(number)
                return self._token(asked, self.tokens[int(number)] if mine else None)
            case _, [owners, owner, "deploy_tokens", *rest]:
                return self._deploys(asked, self.deploys[f"{owners}/{owner}"], rest)
        raise AssertionError(asked)

    def _user(self, user: int, rest: list[str]) -> HttpAnswer:
        state = self.users.get(user)
        if state is None:
            return json({"message": "404 User Not Found"}, 404)
        if not rest:
            return json({"id": user, "state": state})
        self.users[user] = "blocked" if rest == ["block"] else "active"
        return json(True, 201)

    def _tokens_of(self, asked: Asked) -> HttpAnswer:
        assert asked.query["state"] == "active"
        user = int(asked.query["user_id"])
        mine = [one for one in self.tokens.values() if one["user_id"] == user]
        return self._page(asked, [one for one in mine if one["active"]])

    def _token(self, asked: Asked, found: dict[str, Any] | None) -> HttpAnswer:
        if found is None:
            return json({"message": "404 Access Token Not Found"}, 404)
        if asked.method == "GET":
            return json(found)
        found |= {"revoked": True, "active": False}
        return self.yes(asked)

    def _deploys(
        self, asked: Asked, has: list[dict[str, Any]], rest: list[str]
    ) -> HttpAnswer:
        if not rest:
            return self._page(asked, has)
        found = [one for one in has if str(one["id"]) == rest[0]]
        if not found:
            return json({"message": "404 Not found"}, 404)
        if asked.method == "GET":
            return json(found[0])
        has.remove(found[0])
        return self.yes(asked)

    def _page(self, asked: Asked, items: list[dict[str, Any]]) -> HttpAnswer:
        size, page = int(asked.query["per_page"]), int(asked.query["page"])
        return json(items[(page - 1) * size : page * size])
