"""Pages of the console on what there is and how it is: data, nothing, errors, acts."""

from __future__ import annotations

import csv
import io
import itertools
import re
import sqlite3
from contextlib import closing
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import pytest

from enforcement import Guard
from streams.console.pages import audit as audit_page
from streams.console.pages import inventory as inventory_page
from streams.model.times import DAY, SECOND, rfc3339
from streams.services.inventory_rows import InventoryRows
from tests.integration.console_browser import Browser, browsing
from tests.integration.serving import (
    created_key,
    receiving,
    until,
    used_key,
    webhook,
)
from tests.integration.test_endings_faults import TOKEN, away, revoked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.console_browser import Shown
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

NOW = 1_800_000_000 * SECOND
PROBLEM = 'class="problem" role="alert"'
SOON = str(rfc3339(NOW + DAY))
ANN = "person.id:ann"
# What a source may send: markup, a formula, what turns text round, and very much.
HOSTILE = (
    "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "a\u202egnp.exe", "x" * 200,
    '"><img src=x onerror=alert(1)>', "{{ 7*7 }}",
)  # fmt: skip
PAGES = (
    *(f"/inventory?list={name}" for name in (
        "ownerless", "owners", "shared", "excess", "scopes", "undeclared", "unmapped",
        "expiring", "all",
    )),
    f"/inventory?list=owned&owner={quote(ANN)}", "/guards", "/sources", "/receivers",
    "/actuators", "/audit", "/insights", "/insights?span=90d",
)  # fmt: skip


async def filled(server: Server) -> None:
    """Declare what each page has something of, with hostile names."""
    entries: list[dict[str, Any]] = [{"identifier": ANN}]
    entries += [{"identifier": f"jwt.jti:{text}", "owners": [ANN]} for text in HOSTILE]
    entries += [
        {"identifier": f"jwt.jti:k{number:03}", "expires_at": SOON}
        for number in range(120)
    ]
    status, told = await server.post("/v1/adopt", "restorer", {"credentials": entries})
    assert status == 201, told
    order = {"identifier": f"jwt.jti:{HOSTILE[0]}", "reason": HOSTILE[4]}
    status, told = await server.post("/v1/revocations", "revoker", order)
    assert status == 201, told
    await server.served.stages.wait_applied(int(told["token"].rpartition(":")[2]))
    body = HOSTILE[0].encode() + b"\n"
    assert (await server.post("/v1/events/cloudtrail", "aws", body))[0] == 202


def rows_of(shown: Shown) -> list[str]:
    """Give the rows of tables as plain text."""
    found = re.findall(r"<tr>(.*?)</tr>", shown.text, re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", " ", row)) for row in found if "<td" in row]


def check_safe(text: str) -> None:
    """Nothing that a source sent is markup, is computed, or turns text round."""
    for piece in ("<script>alert", "<img", "\u202e", " onerror=alert(1)>", ">49<"):
        assert piece not in text, piece


async def test_pages_without_data_say_what_to_do_next(tmp_path: Path) -> None:
    """None is blank, and none has an error."""
    async with browsing(tmp_path, sources={}) as (_, browser):
        await browser.login("viewer")
        for page in PAGES:
            shown = await browser.get(f"{page}{'&' if '?' in page else '?'}whole=1")
            assert shown.status == 200, page
            assert 'class="empty"' in shown.text, page
            assert PROBLEM not in shown.text, page


async def test_pages_with_hostile_data_show_it_as_text(tmp_path: Path) -> None:
    """On each page, in each list, and in each file."""
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        for page in PAGES:
            shown = await browser.get(f"{page}{'&' if '?' in page else '?'}whole=1")
            assert shown.status == 200, page
            assert PROBLEM not in shown.text, page
            check_safe(shown.text)
            assert len(shown.text) < 2 << 20
        every = await browser.get("/inventory?list=all&whole=1")
        assert len(rows_of(every)) == 50
        assert "a⟨U+202E⟩gnp.exe" in every.text
        mine = await browser.get(f"/inventory?list=owned&owner={quote(ANN)}&whole=1")
        assert len(rows_of(mine)) == len(HOSTILE)
        (dead,) = rows_of(await browser.get("/inventory?list=all&state=denied&whole=1"))
        assert "dead" in dead
        owners = rows_of(await browser.get("/inventory?list=owners&whole=1"))
        assert [each.split()[-1] for each in owners] == [str(len(HOSTILE))]
        soon = await browser.get("/inventory?list=expiring&within=12h&whole=1")
        assert "Nothing fits these filters." in soon.text


async def test_a_list_is_paged_and_saved_whole(tmp_path: Path) -> None:
    """By the addresses that the page itself gives; each row is there once."""
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        for name in ("all", "expiring"):
            page, seen = f"/inventory?list={name}&text=k", []
            while page:
                shown = await browser.get(f"{page}&whole=1")
                seen += [row.split()[0] for row in rows_of(shown)]
                more = re.search(r'rel="next" href="/console([^"]+)"', shown.text)
                page = unescape(more[1]) if more else ""
            assert sorted(seen) == [f"jwt.jti:k{number:03}" for number in range(120)]
        saved = await browser.get("/inventory?list=all&export=csv")
        assert saved.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert "rescind-all-2027-01-15.csv" in saved.headers["Content-Disposition"]
        heads, *lines = csv.reader(io.StringIO(saved.text))
        assert heads[0] == "identifier"
        assert len(lines) == 121 + len(HOSTILE)
        assert "\u202e" not in saved.text
        assert any(cell.startswith("jwt.jti:=cmd") for row in lines for cell in row)
        for row in lines:
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
        wrong = await browser.get("/inventory?list=expiring&within=x&export=csv")
        assert "no length of time" in wrong.text


async def test_an_export_that_breaks_off_says_so_in_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody would take a part for the whole."""
    monkeypatch.setattr(inventory_page, "PART", 20)
    marks = itertools.count()
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        monkeypatch.setattr(InventoryRows, "mark", lambda *_: str(next(marks)))
        saved = await browser.get("/inventory?list=all&export=csv")
        *rows, last = csv.reader(io.StringIO(saved.text))
        assert len(rows) == 1 + 20
        (told,) = last
        assert told.startswith("NOT COMPLETE: another table: the table was built anew")


async def test_a_part_of_another_table_is_an_error_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    """And so is a filter that cannot be used."""
    async with browsing(tmp_path) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        for query, text in (
            ("list=all&after=5.000000000000", "the table was built anew"),
            ("list=expiring&within=x", "no length of time"),
            ("list=all&state=odd", "state is allowed or denied"),
        ):
            shown = await browser.get(f"/inventory?{query}&whole=1")
            assert PROBLEM in shown.text
            assert text in shown.text


async def test_receivers_are_tested_and_sent_to_again(tmp_path: Path) -> None:
    """By who may; what came of it is said in words."""
    async with receiving() as receiver:
        more = {"webhook": webhook(receiver)}
        async with browsing(tmp_path, **more) as (server, browser):
            await browser.login("viewer")
            plain = await browser.get("/receivers?whole=1")
            assert "Test<" not in plain.text
            refused = await browser.act("/receivers/test", endpoint="webhook")
            assert "restorer" in refused.text or "forbidden" in refused.text
            other = Browser(server.url, server.session)
            await other.login("restorer")
            done = await other.act("/receivers/test", endpoint="webhook")
            assert "webhook took it." in done.text
            again = await other.act("/receivers/replay", endpoint="webhook")
            assert "0 are on their way again." in again.text
            assert len(receiver.got) == 2
            receiver.statuses += [500]
            failed = await other.act("/receivers/test", endpoint="webhook")
            assert "webhook did not take it" in failed.text


async def test_a_receiver_says_when_it_was_heard_and_what_failed(
    tmp_path: Path,
) -> None:
    """The first attempt fails, the next one arrives."""
    key, now = "AKIAIOSFODNN7EXAMPLE", [NOW]
    async with receiving() as receiver:
        receiver.statuses += [500]
        more: dict[str, Any] = {"webhook": webhook(receiver)}
        async with browsing(tmp_path, clock=lambda: now[0], **more) as (run, browser):
            await browser.login("viewer")
            assert (
                "not since the start" in (await browser.get("/receivers?whole=1")).text
            )
            made = created_key(key, "ann", "2023-07-10T12:09:47Z", "e1")
            await run.post("/v1/events/cloudtrail", "aws", made)
            await run.post(
                "/v1/revocations", "revoker", {"identifier": f"aws.access_key:{key}"}
            )
            now[0] += 1800 * SECOND
            used = used_key(key, "ann", str(rfc3339(now[0])), "e2")
            await run.post("/v1/events/cloudtrail", "aws", used)
            await browser.login("viewer")  # half an hour ended the session

            async def failed() -> Any:
                shown = await browser.get("/receivers?whole=1")
                return shown if "status 500" in shown.text else None

            await until(failed)

            async def arrived() -> Any:
                now[0] += SECOND
                shown = await browser.get("/receivers?whole=1")
                return shown if "not since the start" not in shown.text else None

            shown = await until(arrived)
            assert "status 500" in shown.text


async def test_the_chain_is_verified_in_front_of_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step; what was not looked at is said, and a changed entry is named."""
    monkeypatch.setattr(audit_page, "PAGE", 40)
    monkeypatch.setattr(audit_page, "TURN_SECONDS", 0.0)
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        _, told = await server.get("/v1/audit/head")
        last = told["sequence"]
        begun = await browser.post("/audit/verify", {"csrf": browser.csrf})
        where = begun.headers["Location"].removeprefix("/console")
        first = await browser.get(f"{where}&whole=1")
        assert f"Entries 1 to 40 of {last} are verified by now" in first.text
        assert "state-verified" not in first.text
        assert "entries behind 40" in first.text
        shown = first
        while "are verified by now" in shown.text:
            shown = await browser.get(f"{where}&fragment=live")
        assert f"Entries 1 to {last} are verified</strong>" in shown.text
        assert (
            "server&#39;s own word" in shown.text or "server's own word" in shown.text
        )
        assert "none was given" in shown.text
        stranger = Browser(server.url, server.session)
        await stranger.login("restorer")
        gone = await stranger.get(f"{where}&whole=1")
        assert "This check is not kept any more" in gone.text

        own = {"csrf": browser.csrf, "key": told["keys"][0], "kept": told["head"]}
        monkeypatch.setattr(audit_page, "TURN_SECONDS", 9.0)
        done = await browser.act("/audit/verify", **own)
        assert "which you gave" in done.text
        assert "a head that you gave" in done.text
        wrong = await browser.act("/audit/verify", kept="nonsense")
        assert "no head" in wrong.text
        assert "nonsense</textarea>" in wrong.text

        with closing(sqlite3.connect(tmp_path / "data/rescind.db")) as file, file:
            change = "UPDATE recent_facts SET key = CAST(key || 'x' AS BLOB)"
            assert file.execute(f"{change} WHERE offset = 50").rowcount == 1
        broken = await browser.act("/audit/verify")
        assert "The chain does not hold" in broken.text
        assert "entry 51 was changed" in broken.text
        assert "Entries 1 to 50 were verified before it" in broken.text
        assert "are verified</strong>" not in broken.text


async def test_entries_are_looked_up_and_saved(tmp_path: Path) -> None:
    """The last ones at first; a search says which it looked at."""
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")
        _, told = await server.get("/v1/audit/head")
        last = told["sequence"]
        newest = await browser.get("/audit?whole=1")
        assert rows_of(newest)[0].split()[0] == str(last)
        assert f"Looked at entries {last - 49} to {last}" in newest.text
        found = await browser.get("/audit?actor=revoker&whole=1")
        assert len(rows_of(found)) >= 2
        none = await browser.get("/audit?actor=nobody&whole=1")
        assert "No entry fits." in none.text
        assert f"Looked at entries 1 to {last}" in none.text
        bad = await browser.get("/audit?since=yesterday&whole=1")
        assert PROBLEM in bad.text
        saved = await browser.get("/audit?export=lines")
        lines = [orjson.loads(line) for line in saved.text.splitlines()]
        _, whole = await server.get("/v1/audit?limit=1000")
        assert [e for e in lines if "entry" in e] == [
            e for e in whole["lines"] if "entry" in e
        ]


async def test_numbers_of_insights_are_those_of_the_api(tmp_path: Path) -> None:
    """In words, in tables, and in each bar of a chart."""
    async with browsing(tmp_path, clock=lambda: NOW) as (server, browser):
        await filled(server)
        await browser.login("viewer")

        async def counted() -> Any:
            _, got = await server.get("/v1/insights/denials")
            return got["denials"] and (await server.get("/v1/insights"))[1]

        told = await until(counted)
        (row,) = told["revocations"]
        shown = await browser.get("/insights?whole=1")
        assert f"operators: {row['count']}</title>" in shown.text
        assert "1 in all" in shown.text
        _, denials = await server.get("/v1/insights/denials")
        (denial,) = denials["denials"]
        assert f"operators revoke {denial['accepted']}" in " ".join(
            " ".join(rows_of(shown)).split()
        )


async def test_what_ends_at_issuers_is_approved_and_tried_again(tmp_path: Path) -> None:
    """By who may; what waits is named with its revocation."""
    async with browsing(tmp_path, **away(mode="approve")) as (server, browser):
        cause = await revoked(server)

        async def waits() -> bool:
            _, found = await server.get("/v1/actuators/ours?state=pending")
            return bool(found["total"])

        await until(waits)
        await browser.login("viewer")
        every = await browser.get("/actuators?whole=1")
        (row,) = rows_of(every)
        assert row.split()[:4] == ["ours", "well", "openbao", "approve"]
        plain = await browser.get("/actuators/ours?whole=1")
        assert "needs the role restorer" in plain.text
        assert TOKEN in plain.text
        none = await browser.get("/actuators/ours?state=failed&whole=1")
        assert "Nothing fits." in none.text
        unknown = await browser.get("/actuators/none?whole=1")
        assert "no actuator has this name" in unescape(unknown.text)
        refused = await browser.act("/actuators/ours/approve", cause=cause)
        assert PROBLEM in refused.text

        # Reading is the role viewer's, and approving the restorer's: the act alone.
        other = Browser(server.url, server.session)
        await other.login("restorer")
        done = await other.post(
            "/actuators/ours/approve",
            {"csrf": other.csrf, "cause": cause, "reason": "seen"},
        )
        assert done.status == 303
        assert done.headers["Location"].startswith("/console/actuators/ours?told=")
        again = await other.post("/actuators/ours/retry", {"csrf": other.csrf})
        assert again.status == 303
        wrong = await other.post(
            "/actuators/ours/approve", {"csrf": other.csrf, "cause": "x"}
        )
        assert "nothing waits there by this cause" in wrong.text
        _, audit = await server.get("/v1/audit")
        assert "approved 1 ends at ours: seen" in str(audit)


async def test_guards_are_listed_and_let_go(tmp_path: Path) -> None:
    """One that has its lease, and one that is fed and tells nothing."""
    async with browsing(tmp_path) as (server, browser):
        await browser.login("viewer")
        async with Guard(server.url, "guard", name=HOSTILE[0], lease=5.0) as guard:
            await guard.ready(30)

            async def listed() -> Any:
                shown = await browser.get("/guards?whole=1")
                return shown if "state-heard" in shown.text else None

            shown = await until(listed)
            check_safe(shown.text)
            (row,) = rows_of(shown)
            assert "5000 ms" in row
            none = await browser.get("/guards?state=gone&text=x&whole=1")
            assert "No guard fits." in none.text
            some = await browser.get("/guards?state=heard&text=SCRIPT&whole=1")
            assert len(rows_of(some)) == 1
        other = Browser(server.url, server.session)
        await other.login("restorer")
        gone = await other.act("/guards/remove", guard="nobody")
        assert "no guard has this name" in gone.text


async def test_whoever_may_not_look_is_told_why(tmp_path: Path) -> None:
    """No page is blank, and no file is saved, where the API refuses."""
    async with browsing(tmp_path) as (_, browser):
        await browser.login("guard")
        for page in (*PAGES, "/audit?check=1", "/audit?actor=x"):
            shown = await browser.get(f"{page}{'&' if '?' in page else '?'}whole=1")
            assert PROBLEM in shown.text or "not kept any more" in shown.text, page
        for page in ("/inventory?list=all&export=csv", "/audit?export=lines"):
            shown = await browser.get(page)
            assert PROBLEM in shown.text
            assert shown.headers["Content-Type"].startswith("text/html")
        for act in ("guards/remove", "receivers/test", "audit/verify"):
            assert PROBLEM in (await browser.act(f"/{act}")).text
