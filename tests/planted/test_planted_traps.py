"""Tests of the trap tests: with a trap's bug in a mapper its test must fail.

A module of the sources gets one wrong line, in place; the modules behind it in the
list are run again on top of it, so that they take its functions. Afterwards all are as
they were.
"""

from __future__ import annotations

import importlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from streams.sources.catalogue import source, vendors
from tests.planted.copies import Change
from tests.unit import test_format_traps, test_meaning_traps

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.planted

TRAPS = {
    name.removeprefix("test_"): trap
    for module in (test_format_traps, test_meaning_traps)
    for name, trap in vars(module).items()
    if name.startswith("test_")
}


class Bug(NamedTuple):
    """A wrong line: the trap that it falls into, its module, what stands there."""

    trap: str
    module: str
    right: str
    wrong: str
    then: str = ""  # modules that took functions of it, in order

    @property
    def name(self) -> str:
        """The whole name of the module."""
        whole = self.module.startswith("streams.")
        return self.module if whole else f"streams.sources.{self.module}"

    @property
    def change(self) -> Change:
        """The wrong line."""
        return Change(f"{self.name.replace('.', '/')}.py", self.right, self.wrong)


ONCE = (  # each id counts once
    "return self._settled(seen, changes, _access(seen), meant",
    (
        "return self._settled(seen, () if self.unknown[seen.event_id] else changes, "
        "self._count(seen.event_id), meant"
    ),
)
BUGS = (
    Bug("no_source_promises_order", "openbao.openbao",
        "held=MAX_HELD if patient else 0", "held=0"),
    Bug("no_source_promises_order", "aws.effects",
        "requires(*asked, ", "requires() if True else requires(", "aws.cloudtrail"),
    Bug("event_ids_are_not_always_present", "github.github",
        "return self._settled(seen, read(seen, app))",
        "return self._settled(seen, read(seen, app) if seen.event_id else ())"),
    Bug("event_ids_are_not_always_present", "openbao.openbao",
        'call_id = text(request, "id")', 'call_id = request["id"].strip()'),
    Bug("dedup_on_the_id_alone_loses_events", "okta.okta", *ONCE),
    Bug("one_uuid_two_event_types", "okta.okta", *ONCE),
    *(
        Bug("a_failed_revoke_request_does_not_revoke", *bug)
        for bug in (
            ("okta.okta", '.get("result") in _DONE', '.get("result")'),
            ("entra.entra", "if audit.succeeded:", "if True:"),
            ("kubernetes.kubernetes", "200 <= code < 300", "200 <= code"),
            ("kubernetes.kubernetes", "!= _COMPLETE:", "== 7:"),
            ("aws.cloudtrail", 'elif not get("errorCode"):', "else:"),
            ("openbao.openbao", "        if not call.error:", "        if True:"),
            ("keycloak.keycloak", 'if text(body.get("error")) or', "if"),
            ("auth0.auth0", 'if status.startswith("2"):', "if True:"),
            ("spire.spire", 'if heard.body.get("status") != "success":', "if False:"),
        )
    ),
    *(
        Bug("a_revoke_can_hide_in_a_modify_event", *bug)
        for bug in (
            ("entra.entra", "yield from _enabled(seen, target)", "()"),
            ("entra.entra", "sorted(old - new)", "()"),
            ("keycloak.admin", "enabled is not None", "False", "keycloak.keycloak"),
            ("aws.effects", '"UpdateAccessKey": ', '"Other": ', "aws.cloudtrail"),
            ("scim.scim", 'return ["restore" if', "return [None if True or"),
        )
    ),
    Bug("some_revocations_are_watermarks_not_ids", "entra.entra",
        "not_before=latest(found[1])", "not_before=None"),
    Bug("vault_writes_one_line_for_a_cascade", "openbao.tokens",
        "parents = [] if orphan else", "parents = [] if True else",
        "openbao.rules openbao.openbao"),
    Bug("a_revoked_vault_token_comes_back_without_its_accessor", "openbao.call",
        "if found := hashed(value, secret):", "if found := '':",
        "openbao.tokens openbao.rules openbao.openbao"),
    Bug("same_secret_different_spelling", "github.audit",
        "return raw if len(raw) == _SHA256 else", "return", "github.github"),
    Bug("same_secret_different_spelling", "kubernetes.kubernetes",
        'identifier("jwt.jti", rest) if kind', "None if kind"),
    Bug("timestamps_are_written_in_many_ways", "streams.model.times",
        "((10**11, SECOND), (10**14, 10**6)", "((10**14, SECOND)"),
    Bug("timestamps_are_written_in_many_ways", "streams.model.times",
        r"(\d{4}),? ", r"(\d{4}), "),
    Bug("timestamps_are_written_in_many_ways", "streams.model.times", "[Tt ]", "[Tt]"),
    Bug("timestamps_are_written_in_many_ways", "streams.model.times", "[:9]", "[:6]"),
    Bug("operation_names_carry_an_en_dash_and_a_trailing_space", "reading.fields",
        ".translate(_DASHES)", "", "entra.entra"),
    Bug("operation_names_carry_an_en_dash_and_a_trailing_space", "reading.fields",
        'name.strip().removesuffix(".").rstrip()', 'name.removesuffix(".")',
        "entra.entra"),
    Bug("operation_names_carry_a_final_dot", "reading.fields",
        '.removesuffix(".")', "", "entra.entra"),
    Bug("operation_names_carry_a_final_dot", "reading.fields",
        ".translate(_DASHES).casefold()", ".translate(_DASHES)", "entra.entra"),
    Bug("booleans_come_as_false_strings", "entra.modified_values",
        "str(inner[0]).casefold()", "inner[0]", "entra.entra"),
    Bug("booleans_come_as_false_strings", "scim.scim",
        'value.strip().casefold() == "true"', "True"),
    Bug("key_order_in_a_secret_diff_says_nothing", "entra.modified_values",
        "return frozenset(found)",
        "return frozenset(f'{n}{key}' for n, key in enumerate(found))", "entra.entra"),
    *(
        Bug("envelopes_are_unwrapped_before_mapping", f"reading.{module}", right, wrong,
            f"reading.{then}")
        for module, right, wrong, then in (
            ("wrapping", '("Records", "records", "Events")', '("Events",)', "envelope"),
            ("wrapping", '== "EventList"', '== "x"', "envelope"),
            ("wrapping", '.startswith("com.okta.")', '.startswith("x")', "envelope"),
            ("wrapping", '"detail": "detail-type"', '"detail": "x"', "envelope"),
            ("wrapping", '"CloudTrailEvent": "Cl', '"x": "x", "": "Cl', "envelope"),
            ("wrapping", 'elif "logEvents" in value and', "elif", "envelope"),
            ("wrapping", 'if "message" in value and "sub', 'if "sub', "envelope"),
        )
    ),
    Bug("a_complex_subject_matches_all_of_its_members", "ssf.subjects",
        '_plain(value.get("device")),', "None,", "ssf.ssf"),
    Bug("a_complex_subject_matches_all_of_its_members", "ssf.subjects",
        '    session = value.get("session")\n', "    session = None\n", "ssf.ssf"),
    Bug("user_session_end_has_a_null_target", "okta.okta",
        '"revoke", _session(seen.body), owner=',
        '"revoke", *(_user(t) for t in _targets(seen)), owner='),
    Bug("membership_removed_is_a_signal", "github.github",
        "yield seen.change(None, person", 'yield seen.change("revoke", person'),
    Bug("membership_removed_is_a_signal", "github.audit",
        "yield seen.change(None, person", 'yield seen.change("revoke", person',
        "github.github"),
    Bug("unsuspend_restores", "okta.okta",
        '("restore", "suspended")', '("restore", "deactivated")'),
    Bug("unsuspend_restores", "okta.okta",
        '("suspend", "deactivated")', '("suspend", "suspended")'),
)  # fmt: skip


CHANGES = [bug.change for bug in BUGS]


@contextmanager
def run_again(name: str, text: str = "") -> Iterator[None]:
    """Run a module, or another text of it, in its own namespace; put that back then."""
    module = importlib.import_module(name)
    space, before = vars(module), dict(vars(module))
    file = Path(str(module.__file__))
    try:
        exec(compile(text or file.read_text("utf-8"), str(file), "exec"), space)  # noqa: S102
        yield
    finally:
        space.clear()
        space.update(before)


def test_every_trap_has_a_planted_bug() -> None:
    """And every bug a trap."""
    assert TRAPS.keys() == {bug.trap for bug in BUGS}


@pytest.mark.parametrize(
    "bug", BUGS, ids=[f"{bug.module}-{number}" for number, bug in enumerate(BUGS)]
)
def test_the_trap_catches_its_bug(bug: Bug, repository: Path) -> None:
    """Its test fails with the bug, and passes when the bug is gone."""
    trap = TRAPS[bug.trap]
    with ExitStack() as planted:
        for name in vendors():  # none may be imported on top of a bug
            source(name)
        planted.enter_context(run_again(bug.name, bug.change.made(repository)))
        for behind in bug.then.split():
            planted.enter_context(run_again(f"streams.sources.{behind}"))
        with pytest.raises((AssertionError, AttributeError, ValueError)):
            trap()
    trap()
