"""Bugs planted into actuators: what may live is dead there, or more is ended.

What an issuer says is a proof only where it is its own word on the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

COPIED: Final = (
    *PRODUCT, "pyproject.toml", "docs", "tests/conftest.py", "tests/issuers",
    "tests/unit/test_issuers.py", "tests/unit/test_issuer_ways.py",
    "tests/unit/test_issuer_gitlab.py", "tests/unit/test_issuer_webhook.py",
    "tests/unit/test_ending_above.py", "tests/unit/test_issuer_proofs.py",
    "tests/unit/test_issuer_keycloak.py",
    "tests/unit/test_late_answers.py", "tests/unit/kept_bodies.py",
    "tests/unit/test_issuer_entra.py", "tests/unit/test_openbao_names.py",
    "tests/unit/test_sinks_standard_webhooks.py",
    "tests/ending_world.py", "tests/virtual.py",
)  # fmt: skip
ALL: Final = "tests/unit/test_issuers.py"
WAYS: Final = "tests/unit/test_issuer_ways.py"
GITLAB: Final = "tests/unit/test_issuer_gitlab.py"
HOOK: Final = "tests/unit/test_issuer_webhook.py"
SIGNED: Final = "tests/unit/test_sinks_standard_webhooks.py"
LATE: Final = "tests/unit/test_late_answers.py"
KEYCLOAK: Final = "tests/unit/test_issuer_keycloak.py"
PROOFS: Final = "tests/unit/test_issuer_proofs.py"
ENTRA: Final = "tests/unit/test_issuer_entra.py"
VAULT: Final = "tests/unit/test_openbao_names.py"
ABOVE: Final = "tests/unit/test_ending_above.py"
ROOM: Final = "streams/actuators"


class Wrong(NamedTuple):
    """A wrong line, and the file of the test that must fail."""

    change: Change
    test: str


BUGS: Final = {
    "a 404 of anybody is the issuer's word": Wrong(
        Change(f"{ROOM}/calls.py",
               "if missing is not None and answer.status in GONE and missing(answer):",
               "if missing is not None and answer.status in GONE:"), ALL
    ),
    "an error is an empty answer": Wrong(
        Change(f"{ROOM}/calls.py",
               "        if answer.status != _OK:\n"
               "            raise unusable(call, answer)\n        try:",
               "        try:"), ALL
    ),
    "a probe believes what the act answered": Wrong(
        Change(f"{ROOM}/ways.py", "return Probed(seen.alive, seen.reason,",
               "return Probed(Alive.DEAD, seen.reason,"), ALL
    ),
    "a plan acts on what is done": Wrong(
        Change(f"{ROOM}/ways.py", "calls = () if done else", "calls = () if () else"),
        ALL,
    ),
    "the calls after a refused one are made": Wrong(
        Change(f"{ROOM}/ways.py", "if not call.taken(answer):",
               "if not call.taken(answer) and call is calls[-1]:"), ALL
    ),
    "an offline session is none": Wrong(
        Change(f"{ROOM}/keycloak/sessions.py",
               '(("online", False), ("offline", True)):\n            sessions',
               '(("online", False),):\n            sessions'), ALL
    ),
    "the second of the cause is covered": Wrong(
        Change(f"{ROOM}/keycloak/ways.py", "return time // SECOND + 1",
               "return time // SECOND"), WAYS
    ),
    "what was exchanged outlives its client": Wrong(
        Change(f"{ROOM}/keycloak/ways.py",
               'if client.get("serviceAccountsEnabled") is not True:',
               "if client:"), ALL
    ),
    "a client of another realm is ended": Wrong(
        Change(f"{ROOM}/keycloak/realm.py", "if await self._own_id(api) != realm_id:",
               "if not realm_id:"), WAYS
    ),
    "a session of another realm is dead": Wrong(
        Change(f"{ROOM}/keycloak/ways.py",
               "here = target.seen or await self.realm.has(api, names)",
               "here = await self.realm.has(api, names) or 1"), PROOFS
    ),
    "a user that the realm does not have is dead": Wrong(
        Change(f"{ROOM}/keycloak/ways.py",
               "return await self.gone(api, target, NO_USER)", "return dead(NO_USER)"),
        PROOFS,
    ),
    "a part that no client of the realm has is dead": Wrong(
        Change(f"{ROOM}/keycloak/sessions.py",
               "return await self.gone(api, target, NO_PART)", "return dead(NO_PART)"),
        PROOFS,
    ),
    "a gateway's error is Keycloak's word": Wrong(
        Change(f"{ROOM}/keycloak/realm.py",
               "any(said.get(member) in texts for member in SAYS)",
               "any(member in said for member in SAYS)"), KEYCLOAK
    ),
    "a realm that is not there has no such user": Wrong(
        Change(f"{ROOM}/keycloak/realm.py",
               "        if found is None:\n            await self._stands(api)\n",
               ""), KEYCLOAK
    ),
    "a page that moved is whole": Wrong(
        Change(f"{ROOM}/keycloak/realm.py", "whole += not moved", "whole += 1"),
        KEYCLOAK,
    ),
    "a session of nobody known is dead": Wrong(
        Change(f"{ROOM}/keycloak/sessions.py",
               "if seen.alive is Alive.DEAD and not told:", "if not seen.alive:"),
        KEYCLOAK,
    ),
    "a user that is disabled is logged out": Wrong(
        Change(f"{ROOM}/keycloak/ways.py",
               "        if target.not_before is not None:\n"
               "            return await user_since(",
               '        if target.not_before and found.get("enabled"):\n'
               "            return await user_since("), KEYCLOAK
    ),
    "what is suspended ends what hangs on it for good": Wrong(
        Change(f"{ROOM}/keycloak/ways.py", "if not counts(one, target):",
               "if not counts(one, one):"), KEYCLOAK
    ),
    "a user that a proxy does not know is dead": Wrong(
        Change(f"{ROOM}/litellm/ways.py",
               "if not keys and not target.seen and not await knows(api, target):",
               "if not keys and await knows(api, target) is None:"), PROOFS
    ),
    "what has the name by now is deleted": Wrong(
        Change(f"{ROOM}/kubernetes/ways.py", '"preconditions": {"uid": found["uid"]},',
               '"preconditions": {"uid": "u-2"} and {},'), WAYS
    ),
    "what an API server remembers is dead": Wrong(
        Change(f"{ROOM}/kubernetes/ways.py", "if self.clock() - since < CACHED:",
               "if self.clock() - since < 0:"), WAYS
    ),
    "an old service account is a new one": Wrong(
        Change(f"{ROOM}/kubernetes/ways.py",
               'return same_second and replaced not in (None, metadata.get("uid"))',
               "return same_second"), WAYS
    ),
    "a policy for earlier sessions is enough": Wrong(
        Change(f"{ROOM}/aws/policies.py", "until is not None and until > time",
               "until is not None and until < time"), ALL
    ),
    "a clearing that failed is one": Wrong(
        Change(f"{ROOM}/okta/ways.py",
               'if {"result": "SUCCESS"} not in [_result(one) for one in outcomes]:',
               "if not outcomes:"), WAYS
    ),
    "a key in a repository that nobody sees is gone": Wrong(
        Change(f"{ROOM}/github/ways.py", '.get("repository_selection") == "all":',
               '.get("repository_selection"):'), WAYS
    ),
    "what GitLab hides is gone": Wrong(
        Change(f"{ROOM}/gitlab/ways.py", "    await api.objects(call)\n", ""), GITLAB
    ),
    "who waits for an approval is gone": Wrong(
        Change(f"{ROOM}/gitlab/ways.py",
               "(state == _WAITS and wanted is WantedEnd.ENDED)",
               "(state == _WAITS and wanted is not WantedEnd.ENDED)"), GITLAB
    ),
    "an id of another instance is one of ours": Wrong(
        Change(f"{ROOM}/gitlab/ways.py", "if instance == self.instance else None",
               "if instance else None"), GITLAB
    ),
    "a next page elsewhere gets the token": Wrong(
        Change(f"{ROOM}/entra/ways.py",
               'not link.startswith(f"{api.base}{below}?"):', "not link:"), WAYS
    ),
    "a user who is disabled has no sessions from before": Wrong(
        Change(f"{ROOM}/entra/ways.py", "later = _valid_from(record) > since",
               'later = record.get("accountEnabled") is False'), ENTRA
    ),
    "sessions are revoked by whoever disables": Wrong(
        Change(f"{ROOM}/entra/ways.py",
               "return REVOKED if _valid_from(record) > before else",
               "return REVOKED if _valid_from(record) else"), ENTRA
    ),
    "a record without credentials has none": Wrong(
        Change(f"{ROOM}/entra/ways.py", "found = record.get(field)",
               "found = record.get(field) or []"), ENTRA
    ),
    "a key of another organisation is dead": Wrong(
        Change(f"{ROOM}/openai/ways.py",
               "if target.seen or await has_project(api, target):",
               "if target.seen or not await has_project(api, target):"), PROOFS
    ),
    "one namespace stands for all": Wrong(
        Change(f"{ROOM}/openbao/tokens.py",
               "if found is None and (gap := self._gap or",
               "if found is None and (gap := None or"), VAULT
    ),
    "a token of later ends with what ended before": Wrong(
        Change("streams/services/ending_work.py",
               "latest <= until:", "latest:"), ABOVE
    ),
    "a token is dead with whoever lives": Wrong(
        Change(f"{ROOM}/ways.py",
               "if seen.alive is Alive.DEAD:\n                return dead(f",
               "if seen.alive is Alive.ALIVE:\n                return dead(f"), WAYS
    ),
    "an answer of yesterday is a proof": Wrong(
        Change(f"{ROOM}/webhook/messages.py", 'if answer.get("id") != question:',
               'if not answer.get("id"):'), HOOK
    ),
    "what nobody signed is taken": Wrong(
        Change("streams/outbound/standard_webhooks.py",
               "    return any(\n        hmac.compare",
               "    return bool(given) or any(\n        hmac.compare"), SIGNED
    ),
    "a message of yesterday is taken": Wrong(
        Change("streams/outbound/standard_webhooks.py",
               "> TOLERANCE or not", "> 999 * TOLERANCE or not"), SIGNED
    ),
    "a question is answered twice": Wrong(
        Change("streams/services/late_answers.py",
               "        if question.answer is not None:\n",
               "        if question.answer is self:\n"), LATE
    ),
    "a late answer counts for ever": Wrong(
        Change("streams/services/late_answers.py",
               "if self._clock() >= question.until:", "if not question.until:"), LATE
    ),
    "an act is another one each time": Wrong(
        Change(f"{ROOM}/webhook/endings.py", "END, id_of(target), target",
               "END, self.fresh(), target"), HOOK
    ),
}  # fmt: skip
CHANGES: Final = [each.change for each in BUGS.values()]
QUICK: Final = (
    "a 404 of anybody is the issuer's word", "an answer of yesterday is a proof",
)  # fmt: skip


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """The test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name].change)

    assert caught(run_tests(tmp_path, BUGS[name].test))
