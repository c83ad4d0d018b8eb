"""Clouds and platforms push to a running server: proofs, carriers, refusals.

All events here are hand-made, after the documentation of their products.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import itertools
import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.model.keyed_names import keyed_identifier
from streams.model.times import rfc3339
from streams.sources.aws import firehose
from streams.sources.github import hook as github_hook
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

SECRET = "a long random secret"
KINDS = (
    "k8s.*", "aws.*", "auth0.*", "gitguardian.*", "session.id", "jwt.jti", "github.*",
    "litellm.*", "secret",
)  # fmt: skip
PEPPER = b"0123456789abcdef"
MOST = 256 << 10
EXTRA = "authentication.kubernetes.io/"
SCANNING = generate_private_key(SECP256R1())
PEM = SCANNING.public_key().public_bytes(
    Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
)
KEYS = orjson.dumps({
    "public_keys": [{"key_identifier": "k1", "key": PEM.decode(), "is_current": True}]
}).decode()  # fmt: skip
HOOKS: dict[str, dict[str, Any]] = {
    "kubernetes": {"vendor": "kubernetes", "cluster": "eu"},
    "eks": {"vendor": "firehose"},
    "trail": {"vendor": "firehose", "format": "cloudtrail"},
    "gke": {"vendor": "pubsub"},
    "eventbridge": {"vendor": "eventbridge", "header": "X-Api-Key"},
    "auth0": {"vendor": "auth0"},
    "partner": {"vendor": "eventbridge", "header": "X-Api-Key", "format": "auth0"},
    "gitguardian": {"vendor": "gitguardian"},
    "lite-bridge": {
        "vendor": "eventbridge", "header": "X-Api-Key", "format": "litellm",
    },
    "lite-fire": {"vendor": "firehose", "format": "litellm"},
    "lite-gke": {"vendor": "pubsub", "format": "litellm"},
    "hub-fire": {"vendor": "firehose", "format": "github"},
    "hub": {"vendor": "github"},
    "scanning": {"vendor": "github_secrets", "secret": {"value": KEYS}},
}  # fmt: skip
HEADERS = {
    "kubernetes": {"Authorization": f"Bearer {SECRET}"},
    "eks": {"X-Amz-Firehose-Access-Key": SECRET, "X-Amz-Firehose-Request-Id": "r1"},
    "trail": {"X-Amz-Firehose-Access-Key": SECRET},
    "gke": {},
    "eventbridge": {"X-Api-Key": SECRET},
    "auth0": {"Authorization": SECRET},
    "partner": {"X-Api-Key": SECRET},
    "lite-bridge": {"X-Api-Key": SECRET},
    "lite-fire": {"X-Amz-Firehose-Access-Key": SECRET},
    "hub-fire": {"X-Amz-Firehose-Access-Key": SECRET},
}
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the server's folder."""
    return tmp_path_factory.mktemp("hooks")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    """Run one server with a hook for each vendor."""
    hooks = {
        name: {"authority": "clouds", "secret": {"value": SECRET}} | each
        for name, each in HOOKS.items()
    }
    grants = [{"kind": kind} for kind in KINDS]
    authorities = values(folder)["authorities"] | {"clouds": {"grants": grants}}
    peppers = {"p1": {"value": b64encode(PEPPER).decode()}}
    more = {
        "hooks": hooks, "authorities": authorities, "max_body_bytes": MOST,
        "peppers": peppers,
    }  # fmt: skip
    async with running(folder, **more) as run:
        yield run


async def push(
    server: Server, hook: str, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Push a body; give status and decoded answer."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = HEADERS.get(hook, {}) if headers is None else headers
    query = f"?token={SECRET.replace(' ', '+')}" if hook.endswith("gke") else ""
    url = f"{server.url}/v1/hooks/{hook}{query}"
    content = {"Content-Type": "application/json"}
    async with server.session.post(url, data=data, headers=content | sent) as got:
        text = await got.read()
        return got.status, orjson.loads(text) if text else None


async def verdict(server: Server, identifier: str) -> tuple[bool, str]:
    """Give whether an identifier is allowed, and all that is said of it."""
    _, why = await server.get(f"/v1/why/{identifier}")
    return why["allowed"], orjson.dumps(why).decode()


async def lives(server: Server, identifier: str) -> None:
    """Wait until an identifier is allowed."""

    async def allowed() -> bool:
        return (await verdict(server, identifier))[0]

    await until(allowed)


async def dies(server: Server, identifier: str) -> str:
    """Wait until an identifier is denied for a cause; give all that is said."""

    async def denied() -> str:
        allowed, why = await verdict(server, identifier)
        return "" if allowed or 'cause":{' not in why else why

    return str(await until(denied))


async def facts(server: Server) -> int:
    """Count the facts."""
    return server.served.stages.store.end


async def letters(server: Server) -> str:
    """Give all dead letters, as text."""
    _, found = await server.get("/v1/dlq")
    return orjson.dumps(found).decode()


def now(seconds: float = 0) -> str:
    """Give a time of now and more."""
    return rfc3339(time.time_ns() + int(seconds * 10**9)) or ""


def audit(verb: str, resource: str, name: str, code: int = 200, **more: Any) -> Any:
    """Make an event of an API server."""
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": f"a{next(_NUMBERS)}", "stage": "ResponseComplete", "verb": verb,
        "user": {"username": "admin", "extra": {
            EXTRA + "credential-id": ["X509SHA256=" + "cd" * 32]}},
        "objectRef": {"resource": resource, "namespace": "prod", "name": name}
                     | more.pop("ref", {}),
        "responseStatus": {"code": code}, "stageTimestamp": now(), **more,
    }  # fmt: skip


def token(jti: str, account: str) -> Any:
    """Make the event that issues a token of a service account."""
    return audit(
        "create", "serviceaccounts", account, 201, ref={"subresource": "token"},
        annotations={EXTRA + "issued-credential-id": f"JTI={jti}"},
    )  # fmt: skip


def listed(*events: Any) -> Any:
    """Make a batch of the audit webhook backend."""
    head = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}}
    return head | {"items": list(events)}


def call(name: str, asked: dict[str, Any], **more: Any) -> Any:
    """Make a CloudTrail event of IAM."""
    return {
        "eventVersion": "1.10", "eventSource": "iam.amazonaws.com", "eventName": name,
        "eventTime": now(), "eventID": f"e{next(_NUMBERS)}",
        "recipientAccountId": "111122223333", "requestParameters": asked,
        "userIdentity": {"type": "AWSService", "invokedBy": "iam.amazonaws.com"},
        **more,
    }  # fmt: skip


def bridged(detail: Any, kind: str = "AWS API Call via CloudTrail") -> Any:
    """Make an event of EventBridge."""
    return {
        "version": "0", "id": f"b{next(_NUMBERS)}", "detail-type": kind,
        "source": "aws.iam", "account": "111122223333", "time": now(),
        "region": "us-east-1", "resources": [], "detail": detail,
    }  # fmt: skip


def subscribed(*messages: Any, kind: str = "DATA_MESSAGE") -> bytes:
    """Make what a subscription of CloudWatch Logs puts on a stream."""
    events = [
        {"id": f"{number}", "timestamp": 1760000000000,
         "message": one if isinstance(one, str) else orjson.dumps(one).decode()}
        for number, one in enumerate(messages)
    ]  # fmt: skip
    return gzip.compress(orjson.dumps({
        "messageType": kind, "owner": "111122223333",
        "logGroup": "/aws/eks/c1/cluster", "logStream": "kube-apiserver-audit-1",
        "subscriptionFilters": ["audit"], "logEvents": events,
    }))  # fmt: skip


def delivered(*records: bytes) -> Any:
    """Make a request of Firehose."""
    data = [{"data": b64encode(one).decode()} for one in records]
    return {"requestId": "r1", "timestamp": 1760000000000, "records": data}


def signed(
    body: bytes, at: float | None = None, secret: str = SECRET
) -> dict[str, str]:
    """Sign a body as GitGuardian does."""
    sent = f"{time.time() if at is None else at:.0f}"
    mac = hmac.new(f"{sent}{secret}".encode(), body, "sha256").hexdigest()
    return {"Timestamp": sent, "Gitguardian-Signature": f"sha256={mac}"}


async def test_a_deleted_service_account_ends_its_tokens(server: Server) -> None:
    """Batches of the webhook backend, one of them sent twice, names by cluster."""
    issued = listed(token("t-1", "app"), token("t-2", "other"))
    assert 202 == (await push(server, "kubernetes", issued))[0]
    await lives(server, "jwt.jti:t-1")
    ended = listed(audit("delete", "serviceaccounts", "app"))
    for _ in range(2):
        assert 202 == (await push(server, "kubernetes", ended))[0]
    assert "eu/prod/app" in await dies(server, "jwt.jti:t-1")
    await lives(server, "jwt.jti:t-2")


async def test_eks_comes_through_cloudwatch_logs_and_firehose(server: Server) -> None:
    """Answered as Firehose wants it; a check of the destination is no event."""
    before = await letters(server)
    check = subscribed("CWL CONTROL MESSAGE: Checking", kind="CONTROL_MESSAGE")
    first = delivered(check, subscribed(token("e-1", "app"), token("e-2", "other")))
    status, answer = await push(server, "eks", first)
    assert (200, "r1") == (status, answer["requestId"])
    assert isinstance(answer["timestamp"], int)
    await lives(server, "jwt.jti:e-1")
    second = delivered(subscribed(audit("delete", "serviceaccounts", "app")))
    assert 200 == (await push(server, "eks", second))[0]
    await dies(server, "jwt.jti:e-1")
    await lives(server, "jwt.jti:e-2")
    assert before == await letters(server)


async def test_gke_comes_through_pub_sub(server: Server) -> None:
    """The log entry lies in base64 inside the message."""
    issued = listed(token("g-1", "robot"))
    # Another hook, without a cluster's name: the token hangs on the same account.
    assert 200 == (await push(server, "eks", delivered(orjson.dumps(issued))))[0]
    await lives(server, "jwt.jti:g-1")
    entry = {
        "insertId": "g1", "timestamp": now(),
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "methodName": "io.k8s.core.v1.serviceaccounts.delete",
            "resourceName": "core/v1/namespaces/prod/serviceaccounts/robot",
            "authenticationInfo": {"principalEmail": "admin@example.com"},
        },
    }  # fmt: skip
    data = b64encode(orjson.dumps(entry)).decode()
    pushed = {
        "message": {"data": data, "messageId": "1", "attributes": {}},
        "subscription": "projects/p/subscriptions/s",
    }
    assert 202 == (await push(server, "gke", pushed))[0]
    await dies(server, "jwt.jti:g-1")


async def test_aws_keys_and_roles_end_and_come_back(server: Server) -> None:
    """UpdateAccessKey, AWSRevokeOlderSessions and DeleteRole, each to a verdict."""
    role = "arn:aws:iam::111122223333:role/agent"
    key, session = "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"

    def assumed(name: str, second: float) -> Any:
        issued = {"accessKeyId": name, "expiration": now(3600)}
        return call(
            "AssumeRole", {"roleArn": role}, eventSource="sts.amazonaws.com",
            eventTime=now(second), responseElements={"credentials": issued},
        )  # fmt: skip

    async def told(*events: Any) -> None:
        for event in events:
            assert 202 == (await push(server, "eventbridge", bridged(event)))[0]

    made = {"accessKey": {"accessKeyId": key, "userName": "robot", "status": "Active"}}
    await told(
        call("CreateAccessKey", {"userName": "robot"}, responseElements=made,
             eventTime=now(-9)),
        assumed(session, -8),
    )  # fmt: skip
    await lives(server, f"aws.access_key:{key}")
    update = {"userName": "robot", "accessKeyId": key}
    await told(
        call("UpdateAccessKey", update | {"status": "Inactive"}, eventTime=now(-7))
    )
    await dies(server, f"aws.access_key:{key}")
    await told(
        call("UpdateAccessKey", update | {"status": "Active"}, eventTime=now(-6))
    )
    await lives(server, f"aws.access_key:{key}")

    await lives(server, f"aws.access_key:{session}")
    limit = {"DateLessThan": {"aws:TokenIssueTime": now(-5)}}
    deny = {"Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": limit}
    policy = {
        "roleName": "agent", "policyName": "AWSRevokeOlderSessions",
        "policyDocument": orjson.dumps({"Statement": [deny]}).decode(),
    }  # fmt: skip
    await told(call("PutRolePolicy", policy), assumed("ASIALATER", -3))
    await dies(server, f"aws.access_key:{session}")
    await lives(server, "aws.access_key:ASIALATER")
    await told(call("DeleteRole", {"roleName": "agent"}))
    await dies(server, "aws.access_key:ASIALATER")


async def test_cloudtrail_through_firehose_is_read_as_such(server: Server) -> None:
    """A source of the settings' choice; lines need no compression."""
    made = {"accessKey": {"accessKeyId": "AKIAFIRE", "userName": "fire"}}
    created = call("CreateAccessKey", {"userName": "fire"}, responseElements=made)
    ended = call("DeleteAccessKey", {"userName": "fire", "accessKeyId": "AKIAFIRE"})
    body = delivered(b"\n".join(map(orjson.dumps, (created, ended))) + b"\n")
    assert 200 == (await push(server, "trail", body))[0]
    await dies(server, "aws.access_key:AKIAFIRE")


async def test_firehose_is_unpacked_beside_the_event_loop(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes may unpack to many: guards get their pongs meanwhile."""
    threads = []
    lines = firehose.lines

    def noted(body: bytes) -> bytes:
        threads.append(threading.current_thread())
        return lines(body)

    monkeypatch.setattr(firehose, "lines", noted)
    body = delivered(orjson.dumps(call("ListUsers", {})))
    assert 200 == (await push(server, "trail", body))[0]
    assert threads
    assert threading.main_thread() not in threads


async def test_auth0_sends_arrays_or_through_eventbridge(server: Server) -> None:
    """The same entry in both carriers."""

    def entry(number: str, user: str) -> Any:
        data = {"type": "sdu", "date": now(), "user_id": user, "log_id": number}
        return {"log_id": number, "data": data}

    both = [entry("1", "auth0|u1"), entry("2", "auth0|u2")]
    assert 202 == (await push(server, "auth0", both))[0]
    partner = bridged(entry("3", "auth0|u3"), "Auth0 log")
    assert 202 == (await push(server, "partner", partner))[0]
    for user in ("u1", "u2", "u3"):
        await dies(server, f"auth0.user:auth0|{user}")


async def test_gitguardian_is_heard_now_and_not_later(server: Server) -> None:
    """A leak is a finding; an old request, however well signed, is a replay."""
    body = orjson.dumps({
        "action": "incident_triggered", "timestamp": now(),
        "incident": {"id": 4711, "detector": {"name": "aws_iam"}},
    })  # fmt: skip
    late, early = time.time() - 120, time.time() + 120
    wrong = [
        {}, signed(body, secret="another"), signed(body, late), signed(body, early),
        signed(body + b" "), signed(body) | {"Timestamp": f"{time.time() + 9:.0f}"},
        {"Timestamp": "now", "Gitguardian-Signature": "sha256=00"},
    ]  # fmt: skip
    for headers in wrong:
        assert 401 == (await push(server, "gitguardian", body, headers))[0]

    async def found() -> bool:
        return "4711" in orjson.dumps(await server.findings()).decode()

    assert not await found()
    assert 202 == (await push(server, "gitguardian", body, signed(body)))[0]
    await until(found)


def posted(event: Any) -> bytes:
    """Put an event into a message of Pub/Sub."""
    data = b64encode(orjson.dumps(event)).decode()
    message = {"data": data, "messageId": "1"}
    return orjson.dumps({"message": message, "subscription": "projects/p/s"})


@pytest.mark.parametrize("hook", ["lite-bridge", "lite-fire", "lite-gke"])
async def test_keys_of_litellm_are_named_with_the_peppers(
    server: Server, hook: str
) -> None:
    """Whatever carries its records; without a pepper the end of a key is lost."""
    key = f"sk-{hook}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    ended = {
        "id": key, "updated_at": now(), "changed_by": "admin", "action": "deleted",
        "changed_by_api_key": "", "object_id": digest, "before_value": None,
        "table_name": "LiteLLM_VerificationToken", "updated_values": "{}",
    }  # fmt: skip
    carriers = {"lite-fire": delivered(orjson.dumps(ended)), "lite-gke": posted(ended)}
    status, _ = await push(server, hook, carriers.get(hook, ended))
    assert status in (200, 202)
    await dies(server, str(keyed_identifier("secret", key, PEPPER)))


@pytest.mark.parametrize("hook", ["hub-fire", "hub"])
async def test_tokens_of_github_are_named_with_the_peppers(
    server: Server, hook: str
) -> None:
    """By the hash that the audit log tells, which is kept keyed alone."""
    token_hash = hashlib.sha256(hook.encode()).digest()
    ended = {
        "action": "personal_access_token.destroy",
        "@timestamp": time.time_ns() // 10**6,
        "_document_id": hook, "hashed_token": b64encode(token_hash).decode(),
        "user_id": 7, "actor": "someone",
    }  # fmt: skip
    body = delivered(orjson.dumps(ended)) if hook == "hub-fire" else orjson.dumps(ended)
    own = {"X-Hub-Signature-256": hub_signature(body)} if hook == "hub" else None
    status, _ = await push(server, hook, body, own)
    assert status in (200, 202)
    await dies(server, str(keyed_identifier("github.hashed_token", hook, PEPPER)))


def pushed_by_github(body: bytes, key_id: str = "k1") -> dict[str, str]:
    """Sign as GitHub's secret scanning does."""
    signature = SCANNING.sign(body, ECDSA(SHA256()))
    return {
        "Github-Public-Key-Identifier": key_id,
        "Github-Public-Key-Signature": b64encode(signature).decode(),
    }


def match(token: str) -> dict[str, str]:
    """Make a match of a token."""
    url = "https://github.com/a/b/c"
    return {"token": token, "type": "acme_token", "url": url, "source": "content"}


async def leaks(server: Server) -> str:
    """Give all leaks, as text."""
    found = [one for one in await server.findings() if one["kind"] == "leak"]
    return orjson.dumps(found).decode()


async def test_a_token_that_github_found_is_a_leak_and_is_not_kept(
    server: Server, folder: Path
) -> None:
    """By its keyed name; what is no match is a dead letter beside it."""
    token = "acme_0123456789"
    body = orjson.dumps([match(token), {"type": "acme_token"}])
    status, _ = await push(server, "scanning", body, pushed_by_github(body))
    assert 202 == status
    name = str(keyed_identifier("secret", token, PEPPER))

    async def found() -> bool:
        return name in await leaks(server)

    await until(found)
    assert "not_github: a match" in await letters(server)
    digest = hashlib.sha256(token.encode())
    kept = await asyncio.to_thread(files_of, folder)
    assert name.partition(":")[2].encode() in kept
    for secret in (token.encode(), digest.digest(), digest.hexdigest().encode()):
        assert secret not in kept


def files_of(folder: Path) -> bytes:
    """Give all that the server's files hold."""
    return b"".join(one.read_bytes() for one in folder.rglob("*") if one.is_file())


async def test_a_push_that_github_did_not_sign_is_refused(server: Server) -> None:
    """No signature, another key, another body, no key named."""
    body = orjson.dumps([match("acme_never_found")])
    proof = pushed_by_github(body)
    signature = {"Github-Public-Key-Signature": proof["Github-Public-Key-Signature"]}
    for headers in (
        {}, pushed_by_github(body, "k2"), pushed_by_github(body + b" "), signature,
        proof | {"Github-Public-Key-Signature": "!"},
    ):  # fmt: skip
        assert 401 == (await push(server, "scanning", body, headers))[0]


async def test_a_push_that_is_not_verified_would_be_caught(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: whatever is signed is taken."""
    monkeypatch.setattr(github_hook, "authentic_push", lambda *_: True)
    with pytest.raises(AssertionError):
        await test_a_push_that_github_did_not_sign_is_refused(server)


def hub_signature(body: bytes) -> str:
    """Sign as GitHub does."""
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("hook", [name for name in HOOKS if name != "gitguardian"])
async def test_a_wrong_secret_changes_nothing(server: Server, hook: str) -> None:
    """401, before the body is read; nothing is quoted."""
    before = await facts(server)
    body = listed(audit("delete", "serviceaccounts", "untouched"))
    url = f"{server.url}/v1/hooks/{hook}"
    for headers in (
        {}, {"Authorization": "Bearer wrong", "X-Api-Key": "wrong"},
        {"X-Amz-Firehose-Access-Key": "", "X-Api-Key": "", "Authorization": ""},
    ):  # fmt: skip
        async with server.session.post(url, json=body, headers=headers) as got:
            assert 401 == got.status
            assert SECRET not in await got.text()
    assert before == await facts(server)


async def test_what_a_known_sender_cannot_be_heard_of_is_a_finding(
    server: Server,
) -> None:
    """Too large, no delivery of Firehose, a bomb: kept with reason, revealed."""
    large = listed(audit("get", "configmaps", "x" * (MOST + 1)))
    assert 413 == (await push(server, "kubernetes", large))[0]
    for body in ({}, {"records": [{"data": "%"}]}, b"[]", b"{",
                 delivered(gzip.compress(b"x" * (65 << 20))),
                 delivered(gzip.compress(b"{}")[:-9])):  # fmt: skip
        assert 400 == (await push(server, "eks", body))[0]
    kept = await letters(server)
    for reason in ("too_large: a request", "not_opened: the body has no records",
                   "not_opened: too_large", "not_opened: truncated_gzip"):  # fmt: skip
        assert reason in kept

    async def told() -> bool:
        found = orjson.dumps(await server.findings()).decode()
        return all(f'"source:{one}"' in found for one in ("kubernetes", "eks"))

    await until(told)


async def test_a_stranger_cannot_make_a_finding_of_a_large_body(server: Server) -> None:
    """Nobody that is not known leaves anything."""
    before = await letters(server)
    body = b" " * (MOST + 1)
    url = f"{server.url}/v1/hooks/kubernetes"
    async with server.session.post(url, data=body) as got:
        assert 401 == got.status
    assert before == await letters(server)


async def test_what_is_no_event_is_a_dead_letter_beside_the_others(
    server: Server,
) -> None:
    """2xx: sending it again would not help."""
    first = listed(token("m-1", "mixed"))
    assert 202 == (await push(server, "kubernetes", first))[0]
    await lives(server, "jwt.jti:m-1")
    mixed = listed({"kind": "Event"}, audit("delete", "serviceaccounts", "mixed"), 7)
    assert 202 == (await push(server, "kubernetes", mixed))[0]
    assert 202 == (await push(server, "auth0", b"<html>"))[0]
    kept = await letters(server)
    for reason in ("not_kubernetes", "not_an_object", '"auth0","authority'):
        assert reason in kept
    await dies(server, "jwt.jti:m-1")


async def test_a_hook_that_compares_nothing_would_be_caught(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: whatever stands in the header is taken."""
    with monkeypatch.context() as planted:
        planted.setattr(hmac, "compare_digest", lambda *_: True)
        with pytest.raises(AssertionError):
            await test_a_wrong_secret_changes_nothing(server, "kubernetes")
