"""Bugs planted into the console are caught by its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT, "pyproject.toml", "tests/conftest.py", "tests/integration",
    "tests/unit/test_console_frame.py", "tests/unit/test_console_parts.py",
    "tests/unit/test_oidc.py", "tests/unit/test_console_roles.py",
    "tests/unit/test_console_honesty.py", "tests/unit/test_console_incident_pages.py",
    "tests/unit/test_console_large_answers.py", "tests/unit/test_console_attempts.py",
    "tests/virtual.py", "tests/unit/test_large_json.py",
    "tests/unit/test_large_frames.py", "tests/unit/test_secret_texts.py",
    "tests/unit/test_credential_page.py", "tests/unit/test_lineage_steps.py",
    "tests/property",
)  # fmt: skip
NODE: Final = "tests/unit/test_credential_page.py"
ROLES: Final = "tests/unit/test_console_roles.py"
REALMS: Final = "tests/integration/test_console_realms.py"
LARGE_JSON: Final = "tests/unit/test_large_json.py"
FRAMES: Final = "tests/unit/test_large_frames.py"
TEXTS: Final = "tests/unit/test_secret_texts.py"
LARGE: Final = "tests/unit/test_console_large_answers.py"
HONEST: Final = "tests/unit/test_console_honesty.py"
PARTS: Final = "tests/unit/test_console_parts.py"
FRAME: Final = "tests/unit/test_console_frame.py"
PAGES: Final = "tests/integration/test_console.py"
TRIES: Final = "tests/unit/test_console_attempts.py"
FILTERS: Final = "tests/integration/test_console_filters.py"
LOGIN: Final = "tests/integration/test_console_oidc.py"
NEWS: Final = "tests/integration/test_console_live.py"
ROOM: Final = "streams/console"


class Wrong(NamedTuple):
    """A wrong line, and the file of the test that must fail."""

    change: Change
    test: str


def wrong(file: str, right: str, line: str, test: str) -> Wrong:
    """Write a wrong line down."""
    return Wrong(Change(f"{ROOM}/{file}", right, line), test)


BUGS: Final = {
    "a form needs no token": wrong(
        "csrf.py", "return is_own(headers) and same", "return is_own(headers)", PARTS
    ),
    "a form may come from another site": wrong(
        "csrf.py", "return is_own(headers) and same", "return same", PARTS
    ),
    "scripts read the cookie": wrong(
        "headers.py", "httponly=True,\n        samesite=same_site",
        "httponly=False,\n        samesite=same_site", PAGES,
    ),
    "other sites send the cookie": wrong(
        "headers.py", 'same_site: str = "Strict"', 'same_site: str = "Lax"', PAGES
    ),
    "a link opens many sessions": wrong(
        "login.py", 'self._used, self._credential = True, ""', "pass", PARTS
    ),
    "a link that let nobody in is used up": wrong(
        "entry.py", "if isinstance(holder, Holder):", "if True:", TRIES
    ),
    "two tries at once of a link open two sessions": wrong(
        "entry.py", "async with link.turn:", "if True:", TRIES
    ),
    "a link lives for ever": wrong("login.py", "or now >= self.ends", "", PARTS),
    "logins may be tried without end": wrong(
        "attempts.py", "if self._counts[prefix] >= most:", "if None:", TRIES
    ),
    "strangers keep others out": wrong(
        "attempts.py", "bounds = [(origin.address, OF_ADDRESS)]",
        "bounds = [(origin.address, OF_ADDRESS), (self._failed[0].origin.region, 200)]",
        TRIES,
    ),
    "a crowd of strangers goes first": wrong(
        "attempts.py", "else min(self._waiting, key=self._rank)",
        "else self._waiting[0]", TRIES,
    ),
    "who comes last to a full queue goes": wrong(
        "attempts.py", "self._leave(self._away())", "self._leave(waiting)", TRIES
    ),
    "failures nearby keep somebody out": wrong(
        "attempts.py", "self._is_drawn = not self._is_drawn", "pass", TRIES
    ),
    "a good token waits among guesses": wrong(
        "entry.py", "if self.attempts.knows(token):", "if None:", TRIES
    ),
    "a token that is refused is known for ever": wrong(
        "entry.py", "self.attempts.refused(token)", "pass", TRIES
    ),
    "a good link waits for strangers": wrong(
        "entry.py", "await self._let_in(asked, token, BASE, link.use_up)",
        "await self._opened(asked, token, BASE)", TRIES,
    ),
    "wrong links fill the memory": wrong(
        "attempts.py", "if len(self._failed) < MOST_LINKS:", "if True:", TRIES
    ),
    "known tokens are kept as they are": wrong(
        "attempts.py", "return hmac.new(self._key, token.encode(), hashlib.sha256)"
        ".digest()", "return token.encode()", TRIES,
    ),
    "any number of strangers is asked about": wrong(
        "attempts.py", "self._free -= 1", "pass", TRIES
    ),
    "a login leads anywhere": wrong(
        "addresses.py", "whole = target if is_ours and",
        "whole = target if True or", PARTS,
    ),
    "a session outlives its credential": wrong(
        "api.py", "if got.status == UNAUTHORIZED:", "if None:", PAGES
    ),
    "a session never grows old": wrong(
        "sessions.py", "or now - session.began >= limits.absolute * SECOND", "", PARTS
    ),
    "a page that asks by itself keeps a session": wrong(
        "sessions.py", "if not idle:", "if True:", PARTS
    ),
    "a form acts in the realm that is shown by then": wrong(
        "sessions.py", "hmac.new(self.secret, text,",
        "hmac.new(self.secret, b'',", PAGES,
    ),
    "a link may end a denial": Wrong(
        Change("streams/apps/bootstrap.py", "roles=operator.roles & LINK_ROLES,",
               "roles=operator.roles,"), PAGES,
    ),
    "late content goes to another session": wrong(
        "frame.py", 'return session, f"{page', 'return None, f"{page', FRAME,
    ),
    "the credential is shown": wrong(
        "sessions.py", "credential: str = field(repr=False)", "credential: str", PARTS
    ),
    "markup of sources runs": wrong(
        "templates.py", "autoescape=True", "autoescape=False", PARTS
    ),
    "text of sources turns the text around it": wrong(
        "templates.py", "finalize=shown,", "", PARTS
    ),
    "a spreadsheet computes": wrong(
        "text.py", "if text.startswith(_COMPUTED):", "if not text:", PARTS
    ),
    "a stranger's form is as large as any": wrong(
        "app.py", "LARGEST if known else OF_STRANGERS", "LARGEST", PAGES
    ),
    "a guard without a lease is well": wrong(
        "pages/now.py", 'one["shown"] in NO_LEASE', 'one["shown"] == "gone"', HONEST
    ),
    "a search that stopped is whole": wrong(
        "pages/now.py", 'findings.body.get("before") is not None', "False", HONEST
    ),
    "a file that was cut is whole": wrong(
        "pages/findings.py", "if place is not None:\n        rows",
        "if None:\n        rows", HONEST,
    ),
    "a login at a provider ends twice": wrong(
        "oidc_login.py", "self._done[begun.state] = None", "pass", PARTS
    ),
    "tries are counted when they failed": wrong(
        "entry.py", "counted = self.attempts.failed(asked.address)",
        'counted = 0, ""', PARTS,
    ),
    "a form of another origin is our own": wrong(
        "csrf.py", "return origin is None or", "return True or", PARTS
    ),
    "an open page is renewed from another realm": wrong(
        "app.py", "if FRAGMENT in asked.query and around != person.realm:", "if None:",
        PAGES,
    ),
    "a form acts in the first realm": wrong(
        "app.py", "person = session.person_in(realm)",
        "person = session.person_in(session.holder.first)", REALMS,
    ),
    "a page of a realm asks another one": wrong(
        "app.py", "self.api_of(session, person.realm)",
        "self.api_of(session, session.holder.first)", REALMS,
    ),
    "a link leads to another realm": wrong(
        "templates.py", "given.setdefault(REALM, realm)", "pass", REALMS
    ),
    "a button outlives the role": wrong(
        "app.py", "await self.roles.act(session)", "pass", REALMS
    ),
    "an act joins an older look": wrong(
        "roles.py", "await asyncio.wait({self._begun(session)}, timeout=ACT_SECONDS)",
        "await self.look(session)", ROLES,
    ),
    "a late answer gives a role back": wrong(
        "roles.py", "if number > session.roles_of:", "if True:", ROLES
    ),
    "each port is an address of its own": wrong(
        "asked.py", "return _without_port(last)[", "return last[", PARTS
    ),
    "a picture that misses marks is saved without a word": wrong(
        "pages/credential.py", 'MORE_SPREAD if around.more_spread else ""', '""', NODE
    ),
    "an issuer that nobody asked is none": wrong(
        "pages/now.py", 'left=each["id"] in left,', "left=False,", HONEST
    ),
    "roles are those of the login": wrong(
        "app.py", "await self.roles.look(session)", "pass", REALMS
    ),
    "a secret of an address is asked with": wrong(
        "app.py", "bare = without_secret(asked, session.holder.hashed_kinds)",
        "bare = None", FILTERS,
    ),
    "a kind of the settings holds no secret": wrong(
        "login.py", 'kinds = frozenset(body.get("hashed_kinds", ()))',
        "kinds = frozenset[str]()", REALMS,
    ),
    "a secret within a text is none": wrong(
        "secret_names.py", "found = _naming(kinds).finditer(text)",
        "found = iter(())", REALMS,
    ),
    "what could not be asked has arrived": wrong(
        "pages/credential.py", "found.unread[each] = answer.problem", "pass", NODE
    ),
    "a picture without marks is saved": wrong(
        "pages/credential.py", "problem = lineage.problem or around.unread",
        "problem = lineage.problem", NODE,
    ),
    "what is under way is left out": wrong(
        "pages/now.py", '"opened": opened,', '"opened": latest,', HONEST
    ),
    "a login takes a secret of an address along": wrong(
        "addresses.py", "if is_secret_address(whole, kinds) else", "if None else",
        FILTERS,
    ),
    "a secret that stands second is none": wrong(
        "filters.py", "is_secret_address(asked.target, kinds)",
        "any(is_secret(each, kinds) for each in asked.query.values())", REALMS,
    ),
    "a kind in quotes names no secret": wrong(
        "secret_names.py", "|{quotes}\\s*+(?:[:=]", "|\\s*+(?:[:=]", REALMS
    ),
    "a name of no known kind goes to the login": wrong(
        "secret_names.py", "return names_any or", "return", REALMS
    ),
    "a filter puts a secret into the address": wrong(
        "filters.py", "if any(is_secret(each, kinds) for each in given.values()):",
        "if None:", FILTERS,
    ),
    "a name that nobody hashed is gone to": wrong(
        "pages/find.py", "if is_secret(found, kinds):", "if None:", FILTERS
    ),
    "a provider need not name itself": wrong(
        "oidc_login.py", "get(NAMES_ITSELF) is True", "get(NAMES_ITSELF) is None", PARTS
    ),
    "a link is used before it is opened": wrong(
        "entry.py", 'if "prefetch" in asked', 'if "none" in asked', PARTS
    ),
    "a secret behind a blank is none": wrong(
        "secret_names.py", "if has_secret_beside(text, _listed(kinds)):", "if None:",
        TEXTS,
    ),
    "a sentence about a secret is one": Wrong(
        Change("streams/model/secret_texts.py",
               "return len(value) > LONGEST_WORD or not (cased or",
               "return not (not cased or"), TEXTS,
    ),
    "a text of any length is looked through": wrong(
        "secret_names.py", "if len(text) > LONGEST:", "if None:", TEXTS
    ),
    "a command sends a secret in an address": Wrong(
        Change("streams/clients/rescind.py",
               "if isinstance(text, str) and _is_secret(text):", "if None:"), TEXTS,
    ),
    "a guard reads a large frame by one call": Wrong(
        Change("enforcement/large_json.py",
               "return await in_turns(reading(text, loads))", "return loads(text)"),
        FRAMES,
    ),
    "a guard takes a large frame apart by one call": Wrong(
        Change("enforcement/feed.py",
               '.snapshot(message))\n            await drop(message["facts"])',
               ".snapshot(message))"), FRAMES,
    ),
    "many corrections hold the loop of a guard": Wrong(
        Change("enforcement/replica.py",
               "self.registry = yield from Registry.building(",
               "self.registry = Registry.build("), FRAMES,
    ),
    "a large answer is taken apart by one call": wrong(
        "api.py", "if len(got.body) < LARGE:", "if True:", LARGE
    ),
    "large JSON is read by one call": Wrong(
        Change("streams/process/large_json.py", "return await in_turns(reading(text))",
               "return orjson.loads(text)"), LARGE_JSON,
    ),
    "what is no number is one": Wrong(
        Change("enforcement/large_json.py", "return loads(found[0]), found",
               "return float(found[0]), found"), LARGE_JSON,
    ),
    "there is no end of levels": Wrong(
        Change("enforcement/large_json.py", "if not levels:", "if None:"),
        LARGE_JSON,
    ),
    "a piece has any number of levels": Wrong(
        Change("enforcement/large_json.py", "return not level", "return True"),
        LARGE_JSON,
    ),
    "an object has any number of members": Wrong(
        Change("enforcement/large_json.py", "if len(members) > MEMBERS:",
               "if None:"), LARGE_JSON,
    ),
    "a number has any number of digits": Wrong(
        Change("enforcement/large_json.py", "(?:0|[1-9][0-9]{{0,{PIECE - 1}}}+)",
               "(?:0|[1-9][0-9]*+)"), LARGE_JSON,
    ),
    "anybody says where they come from": wrong(
        "asked.py", 'getall("X-Forwarded-For", []) if secure',
        'getall("X-Forwarded-For", []) if True', PARTS,
    ),
    "inline scripts run": wrong(
        "headers.py", "script-src 'self';", "script-src 'self' 'unsafe-inline';", PAGES
    ),
    "state is not compared": wrong(
        "oidc_login.py", 'raise LoginFailedError("state is of another login")', "pass",
        LOGIN,
    ),
    "a code is bound to no browser": wrong(
        "oidc_login.py", "if not hmac.compare_digest(mark.encode", "if None and (mark",
        PARTS,
    ),
    "a token of another login is taken": wrong(
        "oidc_login.py", 'raise LoginFailedError("the ID token is of another login")',
        "pass", LOGIN,
    ),
    "a token for somebody else is taken": wrong(
        "oidc_login.py", 'raise LoginFailedError("the ID token is for somebody else")',
        "pass", LOGIN,
    ),
    "no proof of the code": wrong(
        "oidc_login.py", '"code_challenge": _challenge(made.verifier),',
        '"code_challenge": _challenge(""),', LOGIN,
    ),
    "every page has a poller": wrong(
        "live.py", "if not watch.tasks:", "if True:", NEWS
    ),
    "a poller looks for nobody": wrong(
        "live.py", "task.cancel()", "pass", NEWS
    ),
    "something is sent all the time": wrong(
        "live.py", "watch.seen.get(name, digest) != digest",
        "watch.seen.get(name) != b''", NEWS,
    ),
    "a session has any number of streams": wrong(
        "live.py", "or mine >= OF_SESSION or", "or mine < 0 or", NEWS
    ),
    "a stream without news outlives the last role": wrong(
        "live.py", "await self._aside(functools.partial(self._asked, some))",
        "await asyncio.sleep(0)", REALMS
    ),
    "a stream outlives its session": wrong(
        "live.py", "return self._alive(session) and", "return", NEWS
    ),
    "a stream outlives the role": wrong(
        "live.py", "return self._alive(session) and _has_role(session, reader.realm)",
        "return self._alive(session)", REALMS,
    ),
    "nobody asks whether news may be heard still": wrong(
        "live.py", "await self._aside(functools.partial(self._look, reader.session))",
        "pass", REALMS,
    ),
    "a page that does not read holds its place": wrong(
        "live.py", "                    async with asyncio.timeout(WRITE_SECONDS):",
        "                    async with asyncio.timeout(None):", NEWS,
    ),
}  # fmt: skip
CHANGES: Final = [each.change for each in BUGS.values()]
QUICK: Final = ("a form needs no token", "a link opens many sessions")


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name].change)

    assert caught(run_tests(tmp_path, BUGS[name].test))
