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
        beside: credentials of the other tree; 0 for as many as in the first.
    """

    title: str
    module: str
    asked: str
    made_for: str
    given: dict[str, str] = field(factory=dict)
    beside: int = 0


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
        beside=1_000,  # it takes minutes to issue 50,000
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
    "quixstreams": About(
        title="quixstreams",
        module="quixstreams",
        asked="a record for each credential of the tree; a use joined with its state",
        made_for="streams of records and their state, in Python",
    ),
    "kafka_streams": About(
        title="Kafka Streams",
        module="kafka_streams",
        asked="a record for each credential of the tree; a use joined with a table",
        made_for="streams of records and their state, in Java",
    ),
    "litellm": About(
        title="LiteLLM, its key cache alone",
        module="litellm_keys",
        asked="the rows of all keys are deleted by another proxy; `get_key_object`",
        made_for="one API in front of many models, with keys and budgets",
    ),
    "spicedb": About(
        title="SpiceDB",
        module="spicedb",
        asked="the root's relation is deleted; CheckPermission, which walks up",
        made_for="relations between users and objects of an application",
        given={"consistency": "minimizeLatency"},
    ),
    "spicedb_consistent": About(
        title="SpiceDB, fully consistent",
        module="spicedb",
        asked="the same, with a check that takes no older state",
        made_for="relations between users and objects of an application",
        given={"consistency": "fullyConsistent"},
    ),
}
