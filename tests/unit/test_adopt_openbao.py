"""What OpenBao's look-ups become, and which parents are certain."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.identifiers import Identifier
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.sources.adopting.walk import ListRequest
from streams.sources.openbao.adopt import (
    GONE,
    UNTOLD,
    WRAPPING,
    VaultOptions,
    VaultToken,
    of_documents,
    parents_of,
    walk,
)
from tests.unit.adopting import answered, by_name, reply

if TYPE_CHECKING:
    from streams.sources.adopting.listing import Listing
    from streams.sources.adopting.walk import Walk

pytestmark = pytest.mark.unit

CREATED = 1_790_000_000


def token(name: str, **more: Any) -> dict[str, Any]:
    """Give a look-up as OpenBao 2.7.2 answers it."""
    return {
        "accessor": name, "audit_hash": f"hmac-sha256:{name}", "creation_time": CREATED,
        "creation_ttl": 3600, "display_name": "token", "entity_id": "",
        "expire_time": "2026-11-26T04:47:46.659160626Z", "explicit_max_ttl": 0,
        "id": "", "issue_time": "2026-11-26T03:47:46.659164532Z", "meta": None,
        "num_uses": 0, "orphan": True, "path": "auth/token/create-orphan",
        "policies": ["default"], "renewable": True, "ttl": 3599, "type": "service",
    } | more  # fmt: skip


def test_a_token_is_named_as_the_audit_log_names_it() -> None:
    """By the HMAC of its accessor; with path, entity, owner, times and expiry."""
    data = token(
        "p", path="auth/userpass/login/Ann", entity_id="e", meta={"agent_id": "a"},
        last_renewal="2026-11-26T03:50:00Z",
    )  # fmt: skip
    folding = frozenset({"auth/userpass"})
    found = by_name(of_documents([{"data": data}], VaultOptions(), folding))

    assert {
        "identifier": "vault.accessor:hmac-sha256:p",
        "issued_at": "2026-11-26T03:47:46.659164532Z",
        "changed_at": "2026-11-26T03:50:00Z",
        "expires_at": "2026-11-26T04:47:46.659160626Z",
        "parents": ["vault.path:auth/userpass/login/ann", "vault.entity:e"],
        "owners": ["agent.id:a"],
        "root": True,
    } == found["vault.accessor:hmac-sha256:p"]
    paths = ["auth/userpass/login/ann", "auth/userpass/login", "auth/userpass", "auth"]
    for below, above in pairwise(paths):
        assert [f"vault.path:{above}"] == found[f"vault.path:{below}"]["parents"]


def test_no_expiry_is_none_and_a_plain_device_gives_plain_names() -> None:
    """A root token lives for ever; without a hash of its accessor it has no name."""
    root = token("r", expire_time=None, issue_time=None, path="auth/token/root")
    found = by_name(of_documents([root], VaultOptions(plain=True)))

    assert "expires_at" not in found["vault.accessor:r"]
    assert "2026-09-21T14:13:20Z" == found["vault.accessor:r"]["issued_at"]
    with pytest.raises(UnreadableAnswerError, match="audit_hash"):
        of_documents([root | {"audit_hash": None}], VaultOptions())
    with pytest.raises(UnreadableAnswerError, match="no token look-up"):
        of_documents([{"data": {"keys": []}}], VaultOptions())


def test_tokens_of_wrapping_and_repeats_are_counted() -> None:
    """A token of one call is not adopted; one that comes twice counts once."""
    wrapping = token("w", policies=["response-wrapping"])
    listing = of_documents([wrapping, token("t"), token("t")], VaultOptions())

    assert 1 == listing.left_out[WRAPPING]
    assert "vault.accessor:hmac-sha256:t" in by_name(listing)
    assert "vault.accessor:hmac-sha256:w" not in by_name(listing)


def made(name: str, issued: int, **data: Any) -> VaultToken:
    """Give a token that is no orphan, unless it says so."""
    return VaultToken(Identifier("t", name), {"orphan": False, **data}, issued)


def above(*tokens: VaultToken, whole: bool = True) -> tuple[dict[str, str], int]:
    """Give the certain ancestors by name."""
    found, untold = parents_of(tokens, whole=whole)
    return {child.value: over.value for child, over in found.items()}, untold


def test_the_only_token_that_could_have_made_it_is_its_parent() -> None:
    """Of the same entity, issued before, allowed to make tokens."""
    login = made("login", 1, orphan=True, entity_id="e")
    others = (
        made("root", 0, orphan=True),
        made("later", 9, orphan=True, entity_id="e"),
        made("limited", 2, orphan=True, entity_id="e", num_uses=3),
        made("stranger", 2, orphan=True, entity_id="f"),
    )

    assert ({"child": "login"}, 0) == above(
        *others, login, made("child", 5, entity_id="e")
    )


def test_where_several_could_have_made_it_their_common_ancestor_is_certain() -> None:
    """A grandchild ends with the login either way; two logins share nothing."""
    login = made("login", 1, orphan=True, entity_id="e")
    child, grandchild = made("child", 2, entity_id="e"), made("grand", 3, entity_id="e")
    second = made("second", 0, orphan=True, entity_id="e")

    assert ({"child": "login", "grand": "login"}, 1) == above(grandchild, child, login)
    assert ({}, 2) == above(grandchild, child, login, second)


def test_a_role_or_a_namespace_may_hide_the_maker() -> None:
    """A role may give another entity; a maker may be of another namespace."""
    login = made("login", 1, orphan=True, entity_id="e")

    assert ({}, 1) == above(login, made("child", 2, entity_id="e", role="r"))
    assert ({}, 1) == above(login, made("child", 2, entity_id="e"), whole=False)
    note = UNTOLD.format("1 token")
    tokens = [token("a", entity_id="e"), token("b", orphan=False, role="r")]
    assert [note] == of_documents(tokens, VaultOptions()).notes


@given(st.data())
def test_a_derived_parent_is_an_ancestor_in_truth(data: st.DataObject) -> None:
    """Whatever the tree, and whichever tokens ended or became orphans since."""
    parent: list[int | None] = []
    entity: list[str] = []
    for number in range(data.draw(st.integers(1, 12))):
        maker = data.draw(st.none() | st.integers(0, number - 1)) if number else None
        parent.append(maker)
        drawn = data.draw(st.sampled_from(["", "e", "f"]))
        entity.append(drawn if maker is None else entity[maker])
    for gone in data.draw(st.sets(st.integers(0, len(parent) - 1))):
        # Revoked alone: what it made become orphans and live on.
        parent = [None if maker == gone else maker for maker in parent]
        entity[gone] = "gone"
    tokens = [
        VaultToken(
            Identifier("t", str(n)), {"orphan": maker is None, "entity_id": e}, n
        )
        for n, (maker, e) in enumerate(zip(parent, entity, strict=True))
        if e != "gone"
    ]

    for child, over in parents_of(tokens, whole=True)[0].items():
        ancestors, maker = set(), parent[int(child.value)]
        while maker is not None:
            ancestors.add(maker)
            maker = parent[maker]
        assert int(over.value) in ancestors


def vault(tokens: dict[str, Any]) -> Any:
    """Answer as a vault that has these tokens does."""

    def answer(request: ListRequest) -> HttpAnswer:
        match request.target.partition("?")[0].split("/"):
            case ["auth", "token", "accessors"]:
                return reply({"data": {"keys": list(tokens)}})
            case ["auth", "token", "lookup-accessor"]:
                assert request.body is not None
                found = tokens[request.body["accessor"]]
                if isinstance(found, HttpAnswer):
                    return found
                return reply(
                    {"data": {k: v for k, v in found.items() if k != "audit_hash"}}
                )
            case ["sys", "audit-hash", "main"]:
                assert request.body is not None
                return reply({"data": {"hash": f"hmac-sha256:{request.body['input']}"}})
            case ["sys", "auth"]:
                return reply({"data": {"up/": {"type": "userpass"}}})
            case ["identity", "entity", "id", _]:
                since = "2026-01-01T00:00:00Z"
                return reply({"data": {"disabled": True, "last_update_time": since}})
        raise AssertionError(request.target)

    return answer


def test_the_walk_looks_up_and_hashes_each_token() -> None:
    """One that ended meanwhile is counted; a disabled entity is suspended."""
    gone = reply({"errors": ["1 error occurred:\n\t* invalid accessor\n\n"]}, 400)
    tokens = {"a": token("a", path="auth/up/login/Bob", entity_id="e"), "b": gone}
    listing = answered(walk(VaultOptions("main")), vault(tokens))

    found = by_name(listing)
    assert 1 == listing.left_out[GONE]
    assert "vault.path:auth/up/login/bob" in found
    assert "vault.accessor:hmac-sha256:a" in found
    assert ("account", "2026-01-01T00:00:00Z") == (
        found["vault.entity:e"]["suspended"], found["vault.entity:e"]["suspended_at"],
    )  # fmt: skip


def test_a_refused_look_up_ends_the_walk() -> None:
    """Half a list would look like a whole one."""
    refused = reply({"errors": ["permission denied"]}, 403)

    with pytest.raises(UnreadableAnswerError, match="lookup-accessor answers 403"):
        answered(walk(VaultOptions("main")), vault({"a": refused}))


def test_thousands_of_tokens_are_looked_up_in_portions() -> None:
    """No list of requests grows with the vault."""
    tokens = {f"t{n}": token(f"t{n}") for n in range(1000)}
    answer, most = vault(tokens), 0

    def counted(steps: Walk) -> Walk:
        nonlocal most
        asked = next(steps)
        while True:
            most = max(most, len(asked))
            try:
                asked = steps.send((yield asked))
            except StopIteration as end:
                listing: Listing = end.value
                return listing

    found = by_name(answered(counted(walk(VaultOptions("main"))), answer))

    assert 400 == most
    assert 1000 == sum(name.startswith("vault.accessor") for name in found)
