"""A day in the life of a vault: agents get tokens, lose them, and try again.

`play` runs it against a real server and notes what the server itself answered to
each presented token. Nobody writes down beforehand who should be dead.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = 'path "*" { capabilities = ["create","read","update","delete","list","sudo"] }'
WRAP = {"X-Vault-Wrap-TTL": "5m"}


class Answer(Protocol):
    """What the server said to a call."""

    @property
    def status(self) -> int:
        """Give the HTTP status."""

    @property
    def body(self) -> dict[str, Any]:
        """Give the decoded body."""


class Server(Protocol):
    """An unsealed server and its root token."""

    root_token: str

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call the HTTP API; a refusal is an answer."""


class Presentation(NamedTuple):
    """One token shown to the server, and what it said.

    Attributes:
        name: of the token.
        refused: the server answered 403 (else 200).
    """

    name: str
    refused: bool


class Scenario:
    """The steps, and what the server answered.

    Attributes:
        tokens: name to token, as the client holds it.
        accessors: name to accessor; batch tokens have none.
        leases: name to lease id.
        presented: in order. Each is one ``auth/token/lookup-self`` in the log, and
            nothing else makes that call.
    """

    def __init__(self, server: Server, orphan_role: str | None = None) -> None:
        """Take a fresh server; let P make an orphan O3 through a role, if named.

        The log of such a create does not tell that there is no parent.
        """
        self.orphan_role = orphan_role
        self.tokens: dict[str, str] = {"root": server.root_token}
        self.accessors: dict[str, str] = {}
        self.leases: dict[str, str] = {}
        self.presented: list[Presentation] = []
        self._server = server

    # ------------------------------------------------------------------- the words

    def do(
        self,
        method: str,
        path: str,
        by: str | None = "root",
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Make a call that must succeed.

        Args:
            method: of HTTP.
            path: behind ``/v1/``.
            by: name of the token to send, None for no token.
            body: sent as JSON.
            headers: further ones.

        Raises:
            RuntimeError: the server refused it.
        """
        token = None if by is None else self.tokens[by]
        answer = self._server.call(method, path, token, body, headers)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            message = f"{method} {path}: {answer.status} {answer.body}"
            raise RuntimeError(message)
        return answer.body

    def fail(self, path: str, by: str | None, body: dict[str, Any]) -> None:
        """Make a call that the server must refuse."""
        token = None if by is None else self.tokens[by]
        answer = self._server.call("POST", path, token, body)
        if answer.status < HTTPStatus.BAD_REQUEST:
            message = f"{path} was not refused"
            raise RuntimeError(message)

    def token(
        self, name: str, by: str, path: str = "auth/token/create", **body: Any
    ) -> None:
        """Let one token make another."""
        meta = {"agent_id": name, "owner": "platform-team"}
        body = {"policies": ["agent"], "ttl": "1h", "meta": meta, **body}
        self.keep(name, self.do("POST", path, by, body)["auth"])

    def login(self, name: str, user: str, by: str | None = None) -> None:
        """Log a person in with a password."""
        path = f"auth/people/login/{user}"
        made = self.do("POST", path, by, {"password": f"{user}-pass"})
        self.keep(name, made["auth"])

    def lease(self, name: str, by: str, role: str = "hosts") -> None:
        """Let a token lease an SSH one-time password."""
        made = self.do("POST", f"ssh/creds/{role}", by, {"ip": "10.1.2.3"})
        self.leases[name] = made["lease_id"]

    def present(self, *names: str) -> None:
        """Show tokens to the server and note what it says."""
        for name in names:
            token = self.tokens[name]
            answer = self._server.call("GET", "auth/token/lookup-self", token)
            refused = answer.status == HTTPStatus.FORBIDDEN
            if not refused and answer.status != HTTPStatus.OK:
                message = f"presenting {name}: {answer.status} {answer.body}"
                raise RuntimeError(message)
            if not refused and (accessor := answer.body["data"]["accessor"]):
                self.accessors[name] = accessor
            self.presented.append(Presentation(name, refused))

    def lease_lives(self, name: str) -> bool:
        """Ask the server whether a lease is still there."""
        body = {"lease_id": self.leases[name]}
        token = self.tokens["root"]
        answer = self._server.call("POST", "sys/leases/lookup", token, body)
        return answer.status == HTTPStatus.OK

    def keep(self, name: str, auth: dict[str, Any]) -> None:
        """Note a token that a call made."""
        self.tokens[name] = auth["client_token"]
        if auth["accessor"]:
            self.accessors[name] = auth["accessor"]


def play(server: Server, orphan_role: str | None = None) -> Scenario:
    """Run all steps on a fresh server."""
    scenario = Scenario(server, orphan_role)
    for step in STEPS:
        step(scenario)
    scenario.present(*scenario.tokens)
    return scenario


# ----------------------------------------------------------------------- the steps


def _mounts(s: Scenario) -> None:
    s.do("POST", "sys/policies/acl/agent", body={"policy": ALL})
    s.do("POST", "sys/mounts/ssh", body={"type": "ssh"})
    otp = {"key_type": "otp", "default_user": "ops", "cidr_list": "10.0.0.0/8"}
    s.do("POST", "ssh/roles/hosts", body=otp)
    s.do("POST", "ssh/roles/bastion", body=otp)
    role = {"allowed_policies": "agent"}
    if s.orphan_role:
        body = {**role, "orphan": True}
        s.do("POST", f"auth/token/roles/{s.orphan_role}", body=body)
    s.do("POST", "auth/token/roles/workers", body=role)
    s.do("POST", "sys/auth/approle", body={"type": "approle"})
    s.do("POST", "auth/approle/role/ci", body={"token_policies": "agent"})


def _people(s: Scenario) -> None:
    s.do("POST", "sys/auth/people", body={"type": "userpass"})
    for user in ("ann", "bob", "eve"):
        body = {"password": f"{user}-pass", "token_policies": "agent"}
        s.do("POST", f"auth/people/users/{user}", body=body)


def _tree(s: Scenario) -> None:
    """Grow root -> P -> {C1 -> G1, C2, batch B1}, orphans O1, O2, leases."""
    s.token("P", "root")
    s.token("C1", "P")
    s.token("G1", "C1")
    s.token("C2", "P")
    s.token("B1", "P", type="batch")
    s.token("O1", "P", "auth/token/create-orphan")
    s.token("O2", "root", no_parent=True)
    if s.orphan_role:
        s.token("O3", "P", f"auth/token/create/{s.orphan_role}")
    # The server ignores no_parent where there is a role: this is a child of P.
    s.token("W0", "P", "auth/token/create/workers", no_parent=True)
    for name in ("P", "C1", "B1", "O1"):
        s.lease(f"lease of {name}", name)
    s.present("root", "P", "C1", "B1")


def _renew(s: Scenario) -> None:
    s.do("POST", "auth/token/renew-self", "C1", {"increment": "2h"})
    accessor = s.accessors["C2"]
    s.do("POST", "auth/token/renew-accessor", "root", {"accessor": accessor})
    s.do("POST", "auth/token/renew", "root", {"token": s.tokens["P"]})


def _fall(s: Scenario) -> None:
    """Revoke C2 by its accessor, then P and all below."""
    accessor = s.accessors["C2"]
    s.do("POST", "auth/token/revoke-accessor", "root", {"accessor": accessor})
    s.present("C2", "C1", "P")
    s.do("POST", "auth/token/revoke", "root", {"token": s.tokens["P"]})
    s.present("P", "C1", "G1", "C2", "B1", "W0", "O1")


def _spare_the_children(s: Scenario) -> None:
    """Revoke Q alone: its service child lives on, its batch child does not."""
    s.token("Q", "root")
    s.token("D1", "Q")
    s.token("E1", "D1")
    s.token("B2", "Q", type="batch")
    s.lease("lease of Q", "Q")
    s.lease("lease of D1", "D1")
    s.do("POST", "auth/token/revoke-orphan", "root", {"token": s.tokens["Q"]})
    s.present("Q", "D1", "E1", "B2")
    s.token("F1", "D1")


def _leave(s: Scenario) -> None:
    s.token("R", "root")
    s.token("S", "R")
    s.do("POST", "auth/token/revoke-self", "R")
    s.present("R", "S")


def _end_leases(s: Scenario) -> None:
    s.token("X", "root")
    s.lease("by prefix", "X", "bastion")
    s.do("POST", "sys/leases/revoke-prefix/ssh/creds/bastion")
    s.lease("after the prefix", "X", "bastion")
    s.lease("by id", "X")
    s.do("PUT", f"sys/leases/revoke/{s.leases['by id']}")
    s.token("W1", "X", "auth/token/create/workers")
    s.token("W2", "X")
    s.do("POST", "sys/leases/revoke-prefix/auth/token/create/workers")
    s.present("W1", "W2")


def _disable_people(s: Scenario) -> None:
    """Disable ann for a while, delete eve, then disable the whole mount."""
    s.login("ann", "ann")
    s.token("ann's agent", "ann")
    s.login("bob", "bob", by="X")  # the client sends a token that is not asked for
    s.login("eve", "eve")
    entity = _entity(s, "ann")
    s.present("ann", "bob")
    s.do("POST", f"identity/entity/id/{entity}", body={"disabled": True})
    s.present("ann", "ann's agent", "bob")
    s.do("POST", f"identity/entity/id/{entity}", body={"disabled": False})
    s.present("ann", "ann's agent")
    s.do("DELETE", f"identity/entity/id/{_entity(s, 'eve')}")
    s.present("eve")
    s.do("DELETE", "sys/auth/people")
    s.present("ann", "ann's agent", "bob", "X")
    _people(s)
    s.login("ann again", "ann")
    s.login("bob again", "bob", by="X")


def _entity(s: Scenario, name: str) -> str:
    found = s.do("POST", "auth/token/lookup", body={"token": s.tokens[name]})
    entity: str = found["data"]["entity_id"]
    return entity


def _destroy_secret_id(s: Scenario) -> None:
    """Destroy a secret_id; the tokens it gave stay valid."""
    role = "auth/approle/role/ci"
    role_id = s.do("GET", f"{role}/role-id")["data"]["role_id"]
    made = s.do("POST", f"{role}/secret-id", body={})["data"]
    proof = {"role_id": role_id, "secret_id": made["secret_id"]}
    s.keep("ci", s.do("POST", "auth/approle/login", None, proof)["auth"])
    accessor = {"secret_id_accessor": made["secret_id_accessor"]}
    s.do("POST", f"{role}/secret-id-accessor/destroy", body=accessor)
    s.fail("auth/approle/login", None, proof)
    s.present("ci")


def _wrap(s: Scenario) -> None:
    """Hand a token over in a wrapping, then revoke the one that made it."""
    s.token("M", "root")
    body = {"policies": ["agent"], "ttl": "1h"}
    wrapped = s.do("POST", "auth/token/create", "M", body, WRAP)["wrap_info"]
    s.tokens["the wrapping"] = wrapped["token"]
    opened = s.do("POST", "sys/wrapping/unwrap", "the wrapping")
    del s.tokens["the wrapping"]
    s.keep("N", opened["auth"])
    s.present("N")
    s.do("POST", "auth/token/revoke", "root", {"token": s.tokens["M"]})
    s.present("M", "N")


def _fail_to_revoke(s: Scenario) -> None:
    """Try a revocation without the right to it: it must change nothing."""
    s.token("guest", "root", policies=["default"])
    s.fail("auth/token/revoke", "guest", {"token": s.tokens["X"]})
    s.present("X", "guest")


STEPS = (
    _mounts, _people, _tree, _renew, _fall, _spare_the_children, _leave, _end_leases,
    _disable_people, _destroy_secret_id, _wrap, _fail_to_revoke,
)  # fmt: skip
