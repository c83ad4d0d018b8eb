"""A secret behind its kind and a blank is one, the next word of a sentence is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.secret_shapes import HASHED_KINDS
from streams.clients.rescind import Client, ClientError
from streams.console.secret_names import LONGEST, is_secret, is_secret_address
from streams.model.secret_texts import has_secret_beside

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

KINDS = HASHED_KINDS | {"acme.token"}
SECRETS = (
    "secret hunter2-hunter2-hunter2",
    "secret hunter2",
    "Secret   hunter2",
    "SECRET\thunter2",
    "secret\nhunter2",
    "secret\u00a0hunter2",
    "secret is hunter2!",
    "the secret was Tr0ub4dor&3",
    'secret "hunter2"',
    "'secret' 'hunter2'",
    "secret correct-horse-battery-staple",
    "secret correcthorsebatterystapleonce",
    "secret 83746598",
    "secret aBcDeFgHiJ",
    "secret dGhpcyBpcyBub3Q=",
    "see secret 9f86d081884c7d659a2feaa0c55ad015a3 of the job",
    "rotate secret xK9-22-pQ7-zz81-LmN0 now",
    "acme.token Zm9vYmFyYmF6",
    "github.hashed_token q7Zp2Lm9xT4v",
)
HONEST = (
    "secret",
    "secret leaked",
    "Secret Manager",
    "SECRET ROTATION",
    "a secret was found in the log",
    "the secret is in the vault",
    "secret GetSecretValue",
    "secret scanning-alert",
    "secret push-protection",
    "secret v2",
    "secret #1234",
    "the secret of 2026-11-30",
    "secret 2026-11-30T10:00:00Z",
    "secret at 10:15",
    "secret 20261130 was rotated",
    "move secret k8s-prod-1 to the vault",
    "no secret (see below)",
    "secret ann@example.com",
    "secret agent.id:planner",
    "secret aws.access_key:AKIAIOSFODNN7EXAMPLE",
    "secret 0123456789abcdef0123456789abcdef",
    "vault.token_hmac hmac-sha256:0123456789abcdef",
    "secrets hunter2-hunter2",
    "client_secret hunter2-hunter2",
    "secret Geheimnisverrat",
    "secret Schlüsselübergabe",
    "acme.token rotated",
)


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_behind_a_blank_is_refused(text: str) -> None:
    """In a field, and in an address, however that is written."""
    kinds = frozenset({"acme.token"})
    assert is_secret(text, kinds)
    coded = "".join(f"%{each:02x}" for each in text.encode())
    assert is_secret_address(f"/console/audit?actor={coded}", kinds)


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_text_is_none(text: str) -> None:
    """A word, a name, a number, a date, an address, an identifier, a hash."""
    assert not is_secret(text, frozenset({"acme.token"}))
    assert not has_secret_beside(text, KINDS)


def test_a_secret_under_its_kind_as_the_name_of_a_parameter_is_refused() -> None:
    """As a person types an address by hand."""
    assert is_secret_address("/console/audit?secret=hunter2-hunter2", frozenset())
    assert not is_secret_address("/console/findings?kind=secret", frozenset())


@pytest.mark.parametrize("text", ["a" * (LONGEST + 1), "secret " * LONGEST])
def test_what_is_too_long_is_refused_unread(text: str) -> None:
    """Whatever it is: nobody's name is, and to look through it would take long."""
    assert is_secret(text)
    assert is_secret_address(text, frozenset())
    assert not is_secret("a" * LONGEST)


@pytest.mark.parametrize(
    "text", ["secret hunter2-hunter2", "secret:hunter2", "ghp_abcdefghij0123"]
)
def test_a_command_sends_no_secret_in_an_address(text: str) -> None:
    """Neither as a part of the path nor in the query; no server is asked."""
    client = Client("http://127.0.0.1:9", "t")
    asks: list[Callable[[], object]] = [
        lambda: client.get("revocations", text),
        lambda: client.get("findings", order=text),
        lambda: client.delete("alerts/silences", text),
    ]
    for ask in asks:
        with pytest.raises(ClientError, match="looks like a secret") as refused:
            ask()
        assert text not in str(refused.value)
