"""The products of the table, what each is made for, and how it is asked here."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen


@frozen
class About:
    """A line of the table.

    Attributes:
        title: its name.
        module: of `bench.side_by_side` that runs it.
        asked: how the revocation is made and how a credential is asked for.
        made_for: in words of its own documentation, in short.
        given: what the module is told besides.
    """

    title: str
    module: str
    asked: str
    made_for: str
    given: dict[str, str] = field(factory=dict)


PRODUCTS: Final = {
    "rescind": About(
        title="Rescind",
        module="rescind",
        asked="one revocation of the root; a guard in the process of the caller",
        made_for="revocation with all descendants",
    ),
    "redis": About(
        title="Redis, a Lua script",
        module="redis_lua",
        asked="`EVAL` deletes the keys of the tree; `EXISTS`",
        made_for="data in memory; the script is made for this question",
    ),
    "openbao": About(
        title="OpenBao",
        module="openbao",
        asked="`auth/token/revoke` of the root token; `lookup-self` at the server",
        made_for="issuing and keeping secrets, with a tree of tokens and leases",
    ),
    "openfga": About(
        title="OpenFGA",
        module="openfga",
        asked="the root's tuple is deleted; Check, which walks up, caches off",
        made_for="relations between users and objects of an application",
    ),
    "opal": About(
        title="OPAL",
        module="opal",
        asked="the root is published as revoked to its server; a query of OPA",
        made_for="policies and their data, pushed to many policy agents",
    ),
}
