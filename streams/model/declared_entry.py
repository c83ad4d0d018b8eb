"""The form of an entry of a list of declared credentials, and its limits."""

from __future__ import annotations

from typing import Final

from agents_registry.facts import Relation

MAX_ALIASES: Final = 16
MAX_PARENTS: Final = 64
MAX_OWNERS: Final = 64  # of one set
MAX_LABELS: Final = 64  # the same
# The lists that hang an entry on others, by how it hangs on them.
PARENTS: Final = {
    "parents": Relation.REQUIRES,
    **{each.value: each for each in Relation if each is not Relation.REQUIRES},
}
# The lists of an entry; the longest allowed, as for what sources state.
LISTS: Final = {
    "aliases": MAX_ALIASES - 1,
    **dict.fromkeys(PARENTS, MAX_PARENTS),
    "owners": MAX_OWNERS,
    "labels": MAX_LABELS,
    "scope": None,
}
TIMES: Final = ("issued_at", "changed_at", "expires_at", "not_before", "suspended_at")
FIELDS: Final = frozenset({"identifier", "root", "suspended", *LISTS, *TIMES})
