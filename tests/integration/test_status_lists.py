"""Token Status Lists over HTTP, as an issuer and a reader see them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sqlite3
import time
import zlib
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
from attrs import define
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from streams.http import status_lists
from streams.http.status_token import SigningKey
from tests.integration.cli_server import environment
from tests.integration.forked_program import RESCIND
from tests.integration.serving import Server, created_key, running, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.integration

URL = "https://status.example.com/statuslists"
KEYS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
NO_TIMES = ("", "now", "-1", "1.5", "9" * 12)
PARENT = "aws.access_key:AKIAEXAMPLEPARENT001"
CHILD = "aws.access_key:ASIAEXAMPLECHILD0001"


def settings(folder: Path, algorithm: str = "ES256", **more: Any) -> dict[str, Any]:
    """Give settings with status lists and a key that stays the same in a folder."""
    path = folder / f"{algorithm}.pem"
    if not path.exists():
        key = KEYS[algorithm]()
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    return {"status_lists": {"url": URL, "key": str(path), "size": 1024, **more}}


@define
class Reader:
    """A relying party: it knows a reference, and trusts the server's keys."""

    server: Server

    async def get(
        self, uri: str, accept: str | None = "application/statuslist+jwt", **query: Any
    ) -> tuple[int, str, Any]:
        """Get what is at a reference; give status, body and headers."""
        path = uri.removeprefix(URL)
        headers = {} if accept is None else {"Accept": accept}
        url = f"{self.server.url}/statuslists{path}"
        session = self.server.session
        async with session.get(url, headers=headers, params=query) as got:
            return got.status, await got.text(), got.headers

    async def claims(self, uri: str, **query: Any) -> dict[str, Any]:
        """Get a list and verify it as section 8.3 says."""
        status, token, headers = await self.get(uri, **query)
        assert status == 200, token
        assert headers["Content-Type"] == "application/statuslist+jwt"
        _, keys, _ = await self.get("/jwks")
        header = jwt.get_unverified_header(token)
        assert header["typ"] == "statuslist+jwt"
        key = jwt.PyJWKSet.from_json(keys)[header["kid"]]
        required = ["sub", "iat", "exp", "ttl", "status_list"]
        # Not its end: a slow machine may come late, and history is over.
        options: Any = {"require": required, "verify_exp": False}
        claims: dict[str, Any] = jwt.decode(
            token, key, [header["alg"]], options=options
        )
        assert claims["sub"] == uri
        return claims

    async def status(self, reference: dict[str, Any], **query: Any) -> int:
        """Give the status that stands at a reference."""
        claims = await self.claims(reference["uri"], **query)
        bits, lst = claims["status_list"]["bits"], claims["status_list"]["lst"]
        array = zlib.decompress(base64.urlsafe_b64decode(lst + "=="))
        place, shift = divmod(reference["idx"] * bits, 8)
        return int(array[place] >> shift & (1 << bits) - 1)


async def entry(server: Server, *names: str, **more: Any) -> dict[str, Any]:
    """Ask for an index, as an issuer does."""
    body = {"identifiers": list(names), **more}
    status, answer = await server.post("/v1/status-entries", "aws", body)
    assert status == 201, answer
    reference: dict[str, Any] = answer["status"]["status_list"]
    return reference


async def declare_child(server: Server) -> None:
    """Let the log know a key and another one that hangs on it."""
    credentials = [
        {"identifier": PARENT},
        {"identifier": CHILD, "parents": [PARENT]},
    ]
    status, _ = await server.post("/v1/adopt", "restorer", {"credentials": credentials})
    assert status == 201


async def revoke(server: Server, name: str) -> None:
    """Revoke, as an operator does."""
    body = {"identifier": name}
    assert (await server.post("/v1/revocations", "revoker", body))[0] == 201


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_revoked_parents_child_is_invalid_in_the_list(
    tmp_path: Path, algorithm: str
) -> None:
    """Within a quarter of a lease of the 201; nobody named the child."""
    async with running(tmp_path, **settings(tmp_path, algorithm)) as server:
        reader = Reader(server)
        await declare_child(server)
        child, other = await entry(server, CHILD), await entry(server, PARENT[:-1])
        before = await reader.status(child)
        await revoke(server, PARENT)

        async def invalid() -> bool:
            return await reader.status(child) == 1

        assert before == 0
        assert await until(invalid)
        assert await reader.status(other) == 0


@pytest.mark.parametrize(("bits", "suspended"), [(1, 1), (2, 2), (4, 2), (8, 2)])
async def test_a_suspended_key_is_told_and_lifted(
    tmp_path: Path, bits: int, suspended: int
) -> None:
    """One bit has no word for it, and denies."""
    key = CHILD.partition(":")[2]
    async with running(tmp_path, **settings(tmp_path, bits=bits)) as server:
        child = await entry(server, CHILD)
        for state, status in (("Inactive", suspended), ("Active", 0)):
            hour = "10" if state == "Inactive" else "11"
            event = created_key(key, "ann", f"2026-07-10T{hour}:00:00Z", state) | {
                "eventName": "UpdateAccessKey",
                "requestParameters": {
                    "userName": "ann", "accessKeyId": key, "status": state,
                },
                "responseElements": None,
            }  # fmt: skip
            body = json.dumps({"Records": [event]}).encode()
            assert (await server.post("/v1/events/cloudtrail", "aws", body))[0] == 202

            async def told(wanted: int = status) -> bool:
                return await Reader(server).status(child) == wanted

            assert await until(told)


async def test_indices_are_given_once_and_survive_a_restart(tmp_path: Path) -> None:
    """An index that a signed token holds means that token for good."""
    made = settings(tmp_path, size=16)
    async with running(tmp_path, **made) as server:
        await declare_child(server)
        first = await asyncio.gather(*(entry(server, CHILD) for _ in range(10)))
        await revoke(server, CHILD)
    async with running(tmp_path, **made) as server:
        again = [await entry(server, PARENT) for _ in range(10)]
        reader = Reader(server)
        statuses = [await reader.status(one) for one in (*first, *again)]
        _, body, _ = await reader.get("/aggregation", accept=None)

    places = {(one["uri"], one["idx"]) for one in (*first, *again)}
    assert len(places) == 20
    assert [one["idx"] for one in first] != sorted(one["idx"] for one in first)
    assert [1] * 10 + [0] * 10 == statuses
    # A list of 16 is left when half of it is given.
    listed = json.loads(body)["status_lists"]
    assert set(listed) == {one["uri"] for one in (*first, *again)}
    assert [8, 8, 4] == [[u for u, _ in places].count(uri) for uri in listed]


async def test_a_list_says_nothing_before_the_table_holds_what_was_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is refused, not given as if the facts that wait did not exist."""
    async with running(tmp_path, lease_seconds=0.2, **settings(tmp_path)) as server:
        reader = Reader(server)
        uri = (await entry(server, CHILD))["uri"]
        assert (await reader.get(uri))[0] == 200
        never = asyncio.Event()
        monkeypatch.setattr(
            server.served.stages, "wait_applied", lambda _: never.wait()
        )

        async def refused() -> Any:
            status, _, headers = await reader.get(uri)
            return status == 503 and headers

        # Not at once: the first list was made for a quarter of a lease.
        assert (await until(refused))["Retry-After"] == "1"


async def test_a_reader_may_keep_a_list_for_a_lease(tmp_path: Path) -> None:
    """``ttl`` is the lease, and ``exp`` ends it within the second after."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        reader = Reader(server)
        uri = (await entry(server, CHILD))["uri"]
        asked = time.time()
        claims = await reader.claims(uri)
        _, token, headers = await reader.get(uri)
        etag = {"If-None-Match": headers["ETag"]}
        fresh = headers["Cache-Control"]

    assert claims["ttl"] == 1
    assert claims["exp"] == claims["iat"] + 2
    assert int(asked) - 1 <= claims["iat"] <= time.time()
    assert claims["status_list"]["aggregation_uri"] == f"{URL}/aggregation"
    assert "public, max-age=1" == fresh
    assert token
    assert etag["If-None-Match"].startswith('W/"')
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Content-Encoding"] in {"gzip", "deflate"}


async def test_an_unchanged_list_is_not_sent_twice(tmp_path: Path) -> None:
    """The same signed token has the same ETag; history is signed once."""
    made = settings(tmp_path, history_seconds=3600)
    async with running(tmp_path, **made) as server:
        uri = (await entry(server, CHILD))["uri"]
        url = f"{server.url}/statuslists{uri.removeprefix(URL)}"
        asked = {"time": str(int(time.time()))}
        async with server.session.get(url, params=asked) as got:
            etag = got.headers["ETag"]
            assert got.headers["Cache-Control"] == "no-cache"
        headers = {"If-None-Match": etag}
        async with server.session.get(url, params=asked, headers=headers) as got:
            assert (304, b"") == (got.status, await got.read())
            assert got.headers["ETag"] == etag
        async with server.session.get(
            url, params=asked, headers={"If-None-Match": 'W/"another"'}
        ) as got:
            assert got.status == 200


async def test_history_is_off_unless_it_is_set(tmp_path: Path) -> None:
    """Section 8.4: 501, so that a reader does not take the current list for it."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        uri = (await entry(server, CHILD))["uri"]

        assert (await Reader(server).get(uri, time="1"))[0] == 501


async def test_history_tells_what_was_revoked_by_then(tmp_path: Path) -> None:
    """The token's window holds the time that was asked for."""
    made = settings(tmp_path, history_seconds=3600)
    async with running(tmp_path, **made) as server:
        reader = Reader(server)
        await declare_child(server)
        child = await entry(server, CHILD)
        created = int(time.time())
        await revoke(server, PARENT)
        revoked = int(time.time()) + 1
        await until(lambda: time.time() > revoked)
        claims = await reader.claims(child["uri"], time=str(created))
        now_and_then = [
            await reader.status(child, time=str(at)) for at in (created, revoked)
        ]
        refused = [
            (await reader.get(child["uri"], time=text))[0]
            for text in (str(created - 100), str(revoked + 3600), *NO_TIMES)
        ]

    assert claims["iat"] == created <= claims["exp"]
    # The revocation came within the first second or the next: its start was before.
    assert [0, 1] == now_and_then
    assert [404, 404, 400, 400, 400, 400, 400] == refused


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("application/*", 200),
        ("text/html, application/statuslist+jwt;q=0.5", 200),
        ("APPLICATION/StatusList+JWT", 200),
        ("application/statuslist+cwt", 406),
        ("text/html", 406),
        ("*/*, application/statuslist+jwt;q=0", 406),
        ("application/statuslist+jwt;q=none", 406),
    ],
)
async def test_a_reader_gets_a_jwt_or_nothing(
    tmp_path: Path, accept: str | None, status: int
) -> None:
    """Who takes only a CWT is told so (RFC 9110 section 12.5.1)."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        uri = (await entry(server, CHILD))["uri"]
        server.session.headers.popall("Accept", None)

        assert status == (await Reader(server).get(uri, accept))[0]
        assert (await Reader(server).get(f"/{'0' * 32}"))[0] == 404
        assert (await Reader(server).get("/first"))[0] == 404


@pytest.mark.parametrize(
    ("token", "body", "status"),
    [
        ("viewer", {"identifiers": [CHILD]}, 403),
        ("stranger", {"identifiers": [CHILD]}, 403),
        ("stranger", {"identifiers": ["jwt.jti:a", CHILD]}, 403),
        ("stranger", {"identifiers": ["jwt.jti:a", "aws.user:x"]}, 201),
        ("aws", {"identifiers": []}, 422),
        ("aws", {}, 422),
        ("aws", {"identifiers": ["aws.user:only-a-principal"]}, 422),
        ("aws", {"identifiers": CHILD}, 422),
        ("aws", {"identifiers": [CHILD] * 65}, 422),
        ("aws", {"identifiers": [CHILD], "chain": [CHILD] * 33}, 422),
        ("aws", {"identifiers": ["aws.typo:x"]}, 422),
        ("aws", {"identifiers": [CHILD], "chain": [7]}, 422),
        ("aws", {"identifiers": [CHILD], "parents": [PARENT]}, 422),
        ("aws", {"identifiers": [CHILD], "issued_at": "yesterday"}, 422),
        ("aws", {"identifiers": [CHILD], "issued_at": True}, 422),
        ("aws", {"identifiers": [CHILD], "issued_at": "2451-01-01T00:00:00Z"}, 422),
        ("aws", {"identifiers": [CHILD], "issued_at": 1700000000}, 201),
    ],
)
async def test_an_index_is_given_to_who_may_issue(
    tmp_path: Path, token: str, body: dict[str, Any], status: int
) -> None:
    """An index tells whether a credential is dead: it is for its own authority."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        got, answer = await server.post("/v1/status-entries", token, body)

        assert status == got, answer


async def test_the_time_of_issue_is_never_in_the_future(tmp_path: Path) -> None:
    """Else a token would outlive every ``not_before``."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        await declare_child(server)
        names = ["jwt.jti:a", "aws.user:arn:aws:iam::111122223333:user/ann"]
        future = "2199-01-01T00:00:00Z"
        body = {"identifiers": names[:1], "chain": names[1:], "issued_at": future}
        _, answer = await server.post("/v1/status-entries", "stranger", body)
        reference = answer["status"]["status_list"]
        before = await Reader(server).status(reference)
        await revoke(server, names[1])  # of a reusable name: a not_before

        async def invalid() -> bool:
            return await Reader(server).status(reference) == 1

        assert before == 0
        assert await until(invalid)


def test_a_key_that_cannot_sign_is_named_before_serving(tmp_path: Path) -> None:
    """The text says what to do, and holds nothing of the file."""
    p384 = ec.generate_private_key(ec.SECP384R1())
    forms = (Encoding.PEM, PrivateFormat.PKCS8)
    locked = BestAvailableEncryption(b"password")
    for pem, said in (
        (b"SECRET", "PEM"),
        (KEYS["ES256"]().private_bytes(*forms, locked), "not encrypted"),
        (p384.private_bytes(*forms, NoEncryption()), "P-256 or Ed25519"),
    ):
        with pytest.raises(ValueError, match=said) as raised:
            SigningKey.read(pem)
        assert "SECRET" not in str(raised.value)


async def test_a_missing_key_ends_the_start(tmp_path: Path) -> None:
    """Before the data folder is touched."""
    lists = {"url": URL, "key": str(tmp_path / "none.pem")}

    with pytest.raises(BaseExceptionGroup) as raised:
        async with running(tmp_path, status_lists=lists):
            pass
    assert raised.group_contains(ValueError, match=r"none\.pem")
    assert not (tmp_path / "data").exists()


async def test_a_list_of_several_entries_is_whole(tmp_path: Path) -> None:
    """Each entry is judged."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        names = [f"{CHILD}{n}" for n in range(10)]
        given = [await entry(server, name) for name in names]
        for name in names[::2]:
            await revoke(server, name)

        async def all_told() -> bool:
            statuses = [await Reader(server).status(one) for one in given]
            return statuses == [1, 0] * 5

        assert await until(all_told)


async def test_only_the_latest_lists_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for many lists makes the server no larger."""
    monkeypatch.setattr(status_lists, "KEPT", 1)
    async with running(
        tmp_path, lease_seconds=60, **settings(tmp_path, size=8)
    ) as server:
        uris = [(await entry(server, CHILD))["uri"] for _ in range(5)]
        tokens = [
            (await Reader(server).get(uri))[1]
            for uri in (uris[0], uris[0], uris[4], uris[0])
        ]

    assert uris[0] != uris[4]
    assert tokens[0] == tokens[1] != tokens[3]


async def test_an_index_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """It stands in a signed token by then, so it may never be given again."""
    made = settings(tmp_path)["status_lists"]
    token = {"name": "aws", "sha256": hashlib.sha256(b"aws").hexdigest(),
             "roles": ["ingest"], "authority": "aws"}  # fmt: skip
    grants = {"aws": {"grants": [{"kind": "aws.*"}]}}
    config = {"status_lists": made, "tokens": [token], "authorities": grants}
    (tmp_path / "rescind.yaml").write_text(json.dumps(config), "utf-8")
    process = await asyncio.create_subprocess_exec(
        RESCIND, "serve", "--config", "rescind.yaml", "--listen", "127.0.0.1:0",
        cwd=tmp_path, env=environment(tmp_path), stdout=PIPE, stderr=DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        headers = {"Authorization": "Bearer aws"}
        body = {"identifiers": [CHILD]}
        given = set()
        async with aiohttp.ClientSession(url, headers=headers) as session:
            for _ in range(5):
                async with session.post("/v1/status-entries", json=body) as got:
                    at = (await got.json())["status"]["status_list"]
                    given.add((at["uri"].removeprefix(f"{URL}/"), at["idx"]))
            process.kill()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    query = "SELECT name FROM kept WHERE kind = 'status_entry'"
    with closing(sqlite3.connect(tmp_path / "data" / "rescind.db")) as db:
        claims = [name.split("/") for (name,) in db.execute(query)]
    kept = {(name, int(index)) for name, index, _ in claims}

    assert len(given) == 5
    assert given == kept


async def test_a_restored_backup_gives_no_index_again(tmp_path: Path) -> None:
    """What was given since the backup is not known, so its lists are left."""
    made = settings(tmp_path)
    async with running(tmp_path, **made) as server:
        before = await entry(server, CHILD)
    (tmp_path / "data" / "genesis").unlink()  # as after a restore
    async with running(tmp_path, **made) as server:
        after = await entry(server, CHILD)
        _, body, _ = await Reader(server).get("/aggregation", accept=None)

    assert before["uri"] != after["uri"]
    assert [before["uri"], after["uri"]] == json.loads(body)["status_lists"]
