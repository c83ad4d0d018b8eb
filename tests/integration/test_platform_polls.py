"""The server reads agent platforms and M365 from APIs as they are documented.

All events here are hand-made.
"""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from pydantic import ValidationError

from streams.model.keyed_names import keyed_identifier
from streams.model.times import SECOND, rfc3339
from streams.settings.server import Settings
from tests.integration.fake_platforms import anthropic, github, litellm, m365, openai
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from tests.integration.fake_vendors import Vendor
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

SECRET = {"value": "s3cret"}
KINDS = ("openai.*", "anthropic.*", "litellm.*", "secret", "entra.*", "github.*")
PEPPER = b"0123456789abcdef"


def ago(seconds: float) -> int:
    """Give a time (ns) before now."""
    return time.time_ns() - int(seconds * SECOND)


def polling(vendor: Vendor, kind: str, **more: Any) -> dict[str, Any]:
    """Give settings that poll a vendor quickly."""
    own: dict[str, Any] = {"key": SECRET}
    if kind == "m365":
        own = {"client_id": "rescind", "client_secret": SECRET, "tenant": "tenant",
               "login": vendor.url}  # fmt: skip
    one = {
        "vendor": kind, "url": vendor.url, "authority": "idp", "allow_http": True,
        "interval": 0.02, "overlap": 60, **own, **more,
    }  # fmt: skip
    grants = [{"kind": kind} for kind in KINDS]
    authorities = values(Path())["authorities"] | {"idp": {"grants": grants}}
    return {"polls": {"ai": one}, "authorities": authorities}


async def dies(server: Server, identifier: str) -> None:
    """Wait until an identifier is denied for a cause."""

    async def denied() -> bool:
        _, why = await server.get(f"/v1/why/{identifier}")
        return not why["allowed"] and 'cause":{' in orjson.dumps(why).decode()

    await until(denied)


async def lives(server: Server, identifier: str) -> None:
    """Wait until an identifier is allowed."""

    async def allowed() -> bool:
        return bool((await server.get(f"/v1/why/{identifier}"))[1]["allowed"])

    await until(allowed)


async def rounds(vendor: Vendor, more: int = 3) -> None:
    """Wait for further requests of the log."""
    wanted = len(vendor.asked) + more
    await until(lambda: len(vendor.asked) >= wanted)


def key_event(kind: str, key: str, at: int) -> dict[str, Any]:
    """Give an event of OpenAI about a key."""
    return {
        "id": f"audit_log-{key}-{kind}", "type": f"api_key.{kind}",
        "effective_at": at // SECOND, "project": {"id": "proj_1"},
        "actor": {"type": "session", "session": {"user": {"id": "user-1"}}},
        f"api_key.{kind}": {"id": key},
    }  # fmt: skip


async def test_openai_is_read_page_by_page_and_goes_on_after_a_restart(
    tmp_path: Path,
) -> None:
    """Late events inside the overlap count; the same page is read once."""
    async with openai() as vendor:
        for number in range(5):
            vendor.events += [
                key_event("created", f"key_{number}", ago(100 - number)),
                key_event("deleted", f"key_{number}", ago(50 - number)),
            ]
        vendor.events.append(key_event("created", "key_alive", ago(30)))
        settings = polling(vendor, "openai")
        async with running(tmp_path, **settings) as server:
            for number in range(5):
                await dies(server, f"openai.api_key:key_{number}")
            await lives(server, "openai.api_key:key_alive")
            vendor.events.append(key_event("deleted", "key_alive", ago(45)))
            await dies(server, "openai.api_key:key_alive")
        vendor.events.append(key_event("deleted", "key_while", ago(1)))
        before = len(vendor.asked)
        async with running(tmp_path, **settings) as server:
            await dies(server, "openai.api_key:key_while")
            facts = server.served.stages.store.end
            await rounds(vendor)
            again = server.served.stages.store.end
        assert facts == again
        assert vendor.asked[before].count("effective_at%5Bgte%5D") == 1


async def test_faults_of_openai_cost_time_and_no_event(tmp_path: Path) -> None:
    """429, 500, nonsense, a page that goes nowhere: asked again."""

    def limited(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "0"})

    def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    def nonsense(_: web.Request) -> web.Response:
        return web.json_response(["data"])

    def nowhere(_: web.Request) -> web.Response:
        return web.json_response({"data": [], "has_more": True, "last_id": None})

    async with openai() as vendor:
        vendor.planned = [limited, broken, nonsense, nowhere]
        vendor.events.append(key_event("deleted", "key_1", ago(50)))
        async with running(tmp_path, **polling(vendor, "openai")) as server:
            await dies(server, "openai.api_key:key_1")
            async with server.session.get(f"{server.url}/metrics") as got:
                metrics = await got.text()
        assert 'result="failed"' in metrics
        assert b"s3cret" not in (tmp_path / "data" / "rescind.db").read_bytes()


async def test_anthropic_takes_its_key_in_a_header_of_its_own(tmp_path: Path) -> None:
    """A member who was removed; a key event that names no key is a dead letter."""
    async with anthropic() as vendor:
        head = {
            "organization_id": "org_1",
            "actor": {"type": "user_actor", "user_id": "user_admin"},
        }
        vendor.events = [
            {"id": f"activity_{number}", "created_at": rfc3339(ago(90 - number)),
             "type": "org_user_deleted", "deleted_user_id": f"user_{number}"} | head
            for number in range(5)
        ] + [{"id": "activity_k", "created_at": rfc3339(ago(40)),
              "type": "service_key_revoked"} | head]  # fmt: skip
        async with running(tmp_path, **polling(vendor, "anthropic")) as server:
            for number in range(5):
                await dies(server, f"anthropic.user:user_{number}")
            _, letters = await server.get("/v1/dlq")
        assert "no_target: service_key_revoked" in orjson.dumps(letters).decode()
        async with running(
            tmp_path / "wrong", **polling(vendor, "anthropic", key={"value": "x"})
        ) as server:
            await until(lambda: refused(server))


async def refused(server: Server) -> bool:
    """Tell whether a request failed."""
    async with server.session.get(f"{server.url}/metrics") as got:
        return 'result="failed"' in await got.text()


def audit(key: str, action: str, at: int) -> dict[str, Any]:
    """Give a record of LiteLLM about a virtual key."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {
        "id": f"{key}-{action}", "updated_at": rfc3339(at), "changed_by": "admin",
        "changed_by_api_key": "", "action": action, "object_id": digest,
        "table_name": "LiteLLM_VerificationToken", "before_value": None,
        "updated_values": orjson.dumps({"user_id": "u1"}).decode(),
    }  # fmt: skip


def named(key: str) -> str:
    """Name a key as guards do."""
    return str(keyed_identifier("secret", key, PEPPER))


async def test_keys_of_litellm_are_named_as_guards_name_them(tmp_path: Path) -> None:
    """By the realm's pepper; the plain hash of a key is kept nowhere."""
    pepper = base64.b64encode(PEPPER).decode()
    async with litellm() as vendor:
        for number in range(4):
            vendor.events += [
                audit(f"sk-{number}", "created", ago(100 - number)),
                audit(f"sk-{number}", "deleted", ago(50 - number)),
            ]
        vendor.events.append(audit("sk-alive", "created", ago(30)))
        settings = polling(vendor, "litellm")
        keyed = settings | {"peppers": {"p1": {"value": pepper}}}
        async with running(tmp_path, **keyed) as server:
            for number in range(4):
                await dies(
                    server, str(keyed_identifier("secret", f"sk-{number}", PEPPER))
                )
            await lives(server, str(keyed_identifier("secret", "sk-alive", PEPPER)))
            vendor.events.append(audit("sk-alive", "blocked", ago(20)))
            await dies(server, str(keyed_identifier("secret", "sk-alive", PEPPER)))
        kept = (tmp_path / "data" / "rescind.db").read_bytes()
        plain = hashlib.sha256(b"sk-0")
        assert plain.hexdigest().encode() not in kept
        assert plain.digest() not in kept

        async with running(tmp_path / "none", **settings) as server:

            async def told() -> bool:
                _, letters = await server.get("/v1/dlq")
                return "needs_pepper" in orjson.dumps(letters).decode()

            await until(told)


async def test_another_vendor_under_the_name_begins_anew(tmp_path: Path) -> None:
    """Also where the first one was left in the middle of a round."""

    def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    pepper = {"p1": {"value": base64.b64encode(PEPPER).decode()}}
    async with openai() as first, litellm() as second:
        first.events = [
            key_event("deleted", f"key_{number}", ago(50 - number))
            for number in range(5)
        ]
        first.planned = [None, *[broken] * 1000]
        async with running(tmp_path, **polling(first, "openai")):
            await rounds(first)
        second.events.append(audit("sk-1", "deleted", ago(100)))
        settings = polling(second, "litellm") | {"peppers": pepper}
        async with running(tmp_path, **settings) as server:
            await dies(server, named("sk-1"))


def token_event(action: str, token: str, at: int) -> dict[str, Any]:
    """Give an event of GitHub about a token, which is told by its hash alone."""
    digest = hashlib.sha256(token.encode()).digest()
    return {
        "_document_id": f"{token}-{action}", "@timestamp": at // 10**6,
        "action": f"personal_access_token.{action}", "actor": "admin", "actor_id": 1,
        "hashed_token": base64.b64encode(digest).decode(), "org": "acme",
    }  # fmt: skip


def hub_token(token: str) -> str:
    """Name a token as guards do."""
    return str(keyed_identifier("github.hashed_token", token, PEPPER))


async def test_githubs_audit_log_is_read_over_pages_and_limits(tmp_path: Path) -> None:
    """Late events too; after a limit and for a cursor that is refused it goes on."""

    def limited(_: web.Request) -> web.Response:
        now = time.time_ns() // SECOND
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(now)}
        return web.json_response({"message": "limit"}, status=403, headers=headers)

    def later(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "0"})

    def refused_cursor(_: web.Request) -> web.Response:
        return web.json_response({"message": "Invalid cursor"}, status=422)

    pepper = base64.b64encode(PEPPER).decode()
    async with github() as vendor:
        vendor.planned = [limited, later, None, refused_cursor]
        vendor.events = [
            token_event("destroy", f"ghp_{number}", ago(50 - number))
            for number in range(5)
        ]
        key = tmp_path / "token"
        key.write_text("s3cret\n", "utf-8")
        settings = polling(
            vendor, "github", organization="acme", key={"file": str(key)}
        ) | {"peppers": {"p1": {"value": pepper}}}
        async with running(tmp_path, **settings) as server:
            for number in range(5):
                await dies(server, hub_token(f"ghp_{number}"))
            vendor.events.append(token_event("access_revoked", "ghp_late", ago(60)))
            await dies(server, hub_token("ghp_late"))
        vendor.events.append(token_event("destroy", "ghp_while", ago(1)))
        async with running(tmp_path, **settings) as server:
            await dies(server, hub_token("ghp_while"))
            facts = server.served.stages.store.end
            await rounds(vendor)
            again = server.served.stages.store.end
        assert facts == again
        kept = (tmp_path / "data" / "rescind.db").read_bytes()
        assert hashlib.sha256(b"ghp_0").digest() not in kept
        assert b"s3cret" not in kept


def disabled(user: str, at: int) -> dict[str, Any]:
    """Give a record of the unified log that disables a user."""
    return {
        "Id": f"id-{user}", "Operation": "Disable account.", "RecordType": 8,
        "CreationTime": str(rfc3339(at)).removesuffix("Z"), "ResultStatus": "Success",
        "Workload": "AzureActiveDirectory", "UserId": "admin@contoso.example",
        "ObjectId": f"User_{user}",
    }  # fmt: skip


def guid(number: int) -> str:
    """Give an object id."""
    return f"00000000-0000-4000-8000-{number:012}"


async def test_m365_subscribes_lists_and_reads_blobs(tmp_path: Path) -> None:
    """Over pages; a day at a time; after a restart no blob is read again."""
    async with m365() as vendor:
        for number in range(5):
            hours = 50 - 10 * number
            at = str(rfc3339(ago(hours * 3600)))
            vendor.blobs[f"b{number}"] = (
                at, [disabled(guid(number), ago(hours * 3600 + 60))],
            )  # fmt: skip
        settings = polling(vendor, "m365", first=3 * 86_400)
        async with running(tmp_path, **settings) as server:
            for number in range(5):
                await dies(server, f"entra.user:{guid(number)}")
            vendor.good = "Bearer another"
            vendor.blobs["late"] = (str(rfc3339(ago(30))), [disabled(guid(9), ago(90))])
            await dies(server, f"entra.user:{guid(9)}")
        assert ["Audit.AzureActiveDirectory"] == vendor.subscribed
        read = [path for path in vendor.asked if "/audit/" in path]
        async with running(tmp_path, **settings):
            await rounds(vendor)
        assert read == [path for path in vendor.asked if "/audit/" in path]
        assert 6 == len(set(read))
        assert vendor.tokens >= 2


async def test_a_blob_of_m365_that_is_gone_is_a_gap(tmp_path: Path) -> None:
    """Those behind it are read, and what may be missing is a finding."""
    async with m365() as vendor:
        vendor.subscribed.append("Audit.AzureActiveDirectory")
        for number, name in enumerate(("gone", "there")):
            vendor.blobs[name] = (
                str(rfc3339(ago(60 - number))), [disabled(guid(number), ago(90))],
            )  # fmt: skip
        vendor.gone.add("gone")
        async with running(tmp_path, **polling(vendor, "m365")) as server:
            await dies(server, f"entra.user:{guid(1)}")

            async def told() -> bool:
                kinds = {one["kind"] for one in await server.findings()}
                return "source_gap" in kinds

            await until(told)


async def test_a_subscription_of_m365_that_ends_is_made_again(tmp_path: Path) -> None:
    """400 for the list: look, subscribe, list."""
    async with m365() as vendor:
        async with running(tmp_path, **polling(vendor, "m365")) as server:
            await until(lambda: vendor.subscribed)
            vendor.subscribed.clear()
            vendor.blobs["b"] = (str(rfc3339(ago(5))), [disabled(guid(1), ago(9))])
            await dies(server, f"entra.user:{guid(1)}")
        assert ["Audit.AzureActiveDirectory"] == vendor.subscribed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"vendor": "openai"}, "polls.ai.key"),
        ({"vendor": "github", "key": SECRET}, "polls.ai.organization"),
        ({"vendor": "github", "key": SECRET, "organization": "a/../b"},
         "should match pattern"),
        ({"vendor": "litellm", "key": SECRET}, "polls.ai.url"),
        ({"vendor": "openai", "key": SECRET, "url": "http://api"}, "must be https"),
        ({"vendor": "m365", "client_id": "c", "client_secret": SECRET, "tenant": "t",
          "content": ["Audit.All"]}, "Audit.AzureActiveDirectory"),
        ({"vendor": "m365", "client_id": "c", "client_secret": SECRET, "tenant": "t",
          "retention": 30}, "less than or equal to 7"),
    ],
)  # fmt: skip
def test_wrong_settings_say_what_to_do(wrong: dict[str, Any], said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ValidationError) as raised:
        Settings(polls={"ai": {"authority": "idp"} | wrong})
    assert said in str(raised.value)
