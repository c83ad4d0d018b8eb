"""``rescind audit`` on a running server, and the chain in its file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Node, fact_key
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact, encode_fact
from streams.apps.bootstrap import audit_key
from streams.cli.audit import print_export, print_proof
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.store import Store
from streams.model.times import SECOND
from streams.ports.fact_log import Encoded
from streams.services.audit_export import Against, FileChain, Wanted
from streams.services.audit_heads import head_reader, public_key
from streams.stages.audit.chain import BrokenChainError, Head
from streams.stages.audit.proof import ChainVerifier
from tests.integration.cli_server import run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.engines.embedded.transaction import Transaction

pytestmark = pytest.mark.integration

ACCESS_KEY = "aws.access_key:AKIALIVES"


def test_an_act_is_exported_proved_and_cannot_be_changed(tmp_path: Path) -> None:
    """Who revoked what and why; then its fact is changed in the file."""
    with serving(tmp_path) as server:
        assert 0 == server.ask("revoke", ACCESS_KEY, "--reason", "left a laptop")[0]
        code, out, err = server.ask("audit", "export")
        (tmp_path / "audit.ndjson").write_text(out)
        lines = [json.loads(line) for line in out.splitlines()]
        assert (0, "") == (code, err)
        assert ["cause", "operator"] == [
            lines[0]["fact"]["fact"],
            lines[1]["entry"]["actor"],
        ]
        assert lines[1]["entry"]["action"].endswith("Z: left a laptop")
        assert 1 == server.ask("alerts", "test")[0]  # there are none
        more = server.ask("audit", "export", "--from", lines[-1]["head"])[1]
        first, act, _ = map(json.loads, more.splitlines())
        assert (lines[-1], "alerts test: no receivers") == (
            first,
            act["entry"]["action"],
        )

        with closing(sqlite3.connect(server.folder / "data/rescind.db")) as file, file:
            file.execute("UPDATE recent_facts SET key = CAST(key || 'x' AS BLOB)")
        code, out, _ = server.ask("audit", "verify")
        assert (1, "BROKEN: entry 1 was changed: it has another hash\n") == (code, out)

    # What was exported before holds without the server.
    key = str(tmp_path / "data/audit.pub")
    done = run(tmp_path, "audit", "verify", "audit.ndjson", "--key", key)
    assert 0 == done.returncode
    assert "The audit chain of default holds up to entry 2, signed at" in done.stdout


def test_a_key_of_the_settings_signs_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    """Its public key replaces the one that the folder had; the error names the file."""
    own = audit_key(tmp_path / "a", None)
    other = audit_key(tmp_path / "b", tmp_path / "a" / "audit.key")
    assert own.public_pem() == (tmp_path / "b" / "audit.pub").read_text()
    assert own.public_pem() == other.public_pem()
    assert 0o600 == (tmp_path / "a" / "audit.key").stat().st_mode & 0o777
    assert not (tmp_path / "b" / "audit.key").exists()

    wrong = tmp_path / "a" / "audit.pub"
    with pytest.raises(ValueError, match=r"audit.pub: write a private key in PEM"):
        audit_key(tmp_path / "b", wrong)
    with pytest.raises(ValueError, match="not a public key in PEM"):
        public_key(b"nonsense")


class _Written:
    """A chain that is written while it is verified, as the topics of Kafka are."""

    def __init__(self, first: str, later: str) -> None:
        self._first, self._now, self._later = first, first, later

    def last_head(self) -> str:
        return self._now

    def lines(self, after: int = 0) -> Iterator[Any]:
        del after
        self._now = self._later  # where the lines end is found; then more is written
        yield {"head": self._first}

    read_fact = staticmethod(decode_fact)


def test_a_chain_that_is_written_meanwhile_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The head that it is held against is older than the end of what is read."""
    key = audit_key(tmp_path, None)
    first, later = (key.sign(Head("r", "g", n, "ab" * n, 1)) for n in (0, 2))

    code = print_proof(
        lambda: _Written(first, later), Against([tmp_path / "audit.pub"])
    )

    assert (0, "") == (code, capsys.readouterr().err)


def test_a_head_that_was_kept_must_be_in_the_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty export was true once, and lacks what a later head names."""
    key = audit_key(tmp_path, None)
    file = tmp_path / "audit.ndjson"
    file.write_text(json.dumps({"head": key.sign(Head("r", "g", 0, "", 1))}))
    kept = key.sign(Head("r", "g", 3, "ab", 2))
    keys = [tmp_path / "audit.pub"]

    assert 0 == print_proof(lambda: FileChain(file), Against(keys))
    assert 4 == print_proof(lambda: FileChain(file), Against(keys, [kept]))
    out = capsys.readouterr().out.splitlines()[-1]
    assert out.startswith("INCOMPLETE: truncated: it ends with the start, and a signed")
    assert out.endswith("names entry 3")
    stranger = audit_key(tmp_path / "stranger", None)
    forged = stranger.sign(Head("r", "g", 0, "", 2))
    assert 5 == print_proof(lambda: FileChain(file), Against(keys, [forged]))
    out = capsys.readouterr().out
    assert out.startswith("NO KEY: no key given has signed the head 'eyJ")
    assert "name its key with --key" in out
    assert 1 == print_proof(lambda: FileChain(file), Against(keys, ["e30.e30.e30"]))
    assert "BROKEN: no head: 'e30.e30.e30'" in capsys.readouterr().out
    file.write_text("{")
    assert 1 == print_proof(lambda: FileChain(file), Against(keys))
    assert "line 1 is not JSON" in capsys.readouterr().out


def _fact(name: str) -> Encoded:
    node = Identifier("vault.accessor", name)
    fact = Node(authority="a", version=1, received_at=1, node=node)
    return Encoded(fact_key("r", fact), encode_fact(fact), fact)


def _write(*names: str, fail: bool = False) -> Any:
    def job(tx: Transaction) -> None:
        tx.log.add_facts([_fact(name) for name in names])
        tx.audit.add_act(at=1, actor="ann", action="adopt", detail=[])
        if fail:
            raise LookupError

    return job


async def _verified(store: Store, key: Any, limit: int = 2) -> Head:
    """Page through the chain as the command does."""
    audit = AuditSigner(store, "r", key, lambda: 10**18)
    public = public_key(key.public_pem().encode())
    verifier = ChainVerifier(head_reader([public]), decode_fact)
    after: int | None = 0
    while after is not None:
        lines, after = await audit.page(after, limit)
        for line in lines:
            verifier.take(line)
    return verifier.end()


async def test_the_chain_is_written_with_what_it_speaks_of(tmp_path: Path) -> None:
    """A job that fails leaves no entry, a copy gets none, a restart goes on."""
    key = audit_key(tmp_path, None)
    store = Store.open(tmp_path, realm="r", genesis="g1")
    await store.write(_write("a", "b"))
    with pytest.raises(LookupError):
        await store.write(_write("c", fail=True))
    await AuditSigner(store, "r", key, lambda: 1).sign()
    await store.write(_write("b", "d"))
    assert 5 == (await _verified(store, key)).sequence
    await store.close()

    store = Store.open(tmp_path, realm="r", genesis="g2")
    await store.write(_write("e"))
    assert (7, "g1") == (
        (await _verified(store, key)).sequence,
        (await _verified(store, key)).genesis,
    )
    offsets = await store.read("SELECT fact FROM audit_chain WHERE fact NOT NULL")
    assert [(n,) for n in range(store.end)] == offsets
    await store.close()


async def test_a_log_without_a_chain_gets_one(tmp_path: Path) -> None:
    """Facts, then acts; what a signed head holds cannot be chained anew in silence."""
    key = audit_key(tmp_path, None)
    unchain = "DELETE FROM audit_chain"
    forget = "DELETE FROM audit"
    for change, broken in ((unchain, False), (f"{forget}; {unchain}", True)):
        store = Store.open(tmp_path, realm="r", genesis="g1")
        await store.write(_write(f"a{broken}", "b"))
        await AuditSigner(store, "r", key, lambda: 1).sign()
        await store.close()
        with closing(sqlite3.connect(tmp_path / "rescind.db")) as file:
            file.executescript(change)
        store = Store.open(tmp_path, realm="r", genesis="g1")
        if broken:
            with pytest.raises(BrokenChainError):
                await _verified(store, key)
        else:
            assert 3 == (await _verified(store, key)).sequence
        await store.close()


async def test_a_pruning_says_so_and_the_chain_goes_on(tmp_path: Path) -> None:
    """Entries stay, their facts go; without the act of it that is a break."""
    key = audit_key(tmp_path, None)
    store = Store.open(tmp_path, realm="r", genesis="g1")
    await store.write(_write("a", "b", "c", "d"))
    audit = AuditSigner(store, "r", key, lambda: 10**18)
    await audit.prune([0, 1, 3], actor="ann", action="prune what expired")
    assert [(2,), (3,)] == await store.read(
        "SELECT offset FROM recent_facts ORDER BY offset"
    )
    assert 6 == (await _verified(store, key)).sequence
    await audit.prune([0], actor="ann", action="prune what is gone already")
    lines, _ = await audit.page(0, 100)
    act = lines[-2]["entry"]
    assert ([[1, 2]], "prune what expired") == (act["pruned"], act["action"])
    public = head_reader([public_key(key.public_pem().encode())])
    assert 5 == public(act["head"]).sequence

    def forget(tx: Transaction) -> None:
        tx._db.execute("DELETE FROM recent_facts WHERE offset = 2")

    await store.write(forget)
    with pytest.raises(BrokenChainError, match="entry 3: what it speaks of is gone"):
        await _verified(store, key)
    await store.close()


async def test_a_fact_without_an_entry_is_named(tmp_path: Path) -> None:
    """Whatever wrote it past the chain."""
    key = audit_key(tmp_path, None)
    store = Store.open(tmp_path, realm="r", genesis="g1")
    await store.write(_write("a", "b"))
    add = Chain.add_facts

    def skip(self: Chain, rows: Any) -> None:
        add(self, list(rows)[1:])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Chain, "add_facts", skip)
        await store.write(_write("c", "d"))
    await store.write(_write("e"))
    with pytest.raises(BrokenChainError, match="a fact that has no entry"):
        await _verified(store, key, 3)
    await store.close()


async def test_a_part_begins_and_ends_with_a_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a head that was kept, or by time; each holds, and says from where on."""
    key = audit_key(tmp_path, None)
    store = Store.open(tmp_path, realm="r", genesis="g1")
    now = 0
    audit = AuditSigner(store, "r", key, lambda: now * SECOND)
    for name in "abc":
        now += 10
        await store.write(_write(name))
        await audit.sign()
    now += 10
    await store.write(_write("d"))
    lines, _ = await audit.page(0, 100)
    await store.close()
    capsys.readouterr()  # the heads went to the log, too
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.write_text("".join(json.dumps(line) + "\n" for line in lines))
    heads = [line["head"] for line in lines if "head" in line]
    kept = tmp_path / "kept"
    other = key.sign(Head("other", "g", 9, "ab", 2))
    kept.write_text("".join(json.dumps({"head": h}) + "\n" for h in [*heads, other]))
    keys = [tmp_path / "audit.pub"]

    def check(path: Path, **more: Any) -> tuple[int, str]:
        code = print_proof(lambda: FileChain(path), Against(keys, files=[kept], **more))
        return code, capsys.readouterr().out.split(", signed")[0].strip()

    def cut(**wanted: str) -> list[Any]:
        assert 0 == print_export(FileChain(whole), Wanted(**wanted))
        part.write_text(capsys.readouterr().out)
        return [
            "head" if "head" in line else line["sequence"]
            for line in map(json.loads, part.read_text().splitlines())
        ]

    holds = "The audit chain of r holds"
    assert (0, f"{holds} up to entry 8") == check(whole)
    assert (0, f"{holds} from behind entry 4 up to entry 8") == check(
        whole, start=heads[1]
    )
    assert ["head", 5, 6, "head", 7, 8, "head"] == cut(start=heads[1])
    assert (0, f"{holds} from behind entry 4 up to entry 8") == check(
        part, start="first"
    )
    assert (1, "BROKEN: entry 1 is not there") == (check(part)[0], check(part)[1][:28])
    since = "1970-01-01T00:00:21Z"
    assert ["head", 5, 6, "head", 7, 8, "head"] == cut(since=since)
    assert [1, 2, "head", 3, 4, "head"] == cut(until="1970-01-01T00:00:20Z")
    assert ["head", 5, 6, "head"] == cut(since=since, until="1970-01-01T00:00:22Z")
    assert 1 == check(part, start=heads[0])[0]
    assert ["head"] == cut(since="1970-01-01T00:01:00Z")
    assert 1 == check(whole, start=heads[1], heads=[heads[0]])[0]
    for wrong in ({"since": "soon"}, {"start": "e30.e30.e30"}):
        with pytest.raises(ValueError, match="--"):
            cut(**wrong)
