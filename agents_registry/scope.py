"""Scope: what a credential may be used for, as ``namespace|value`` strings.

A declared value is exact, or a prefix when it ends in ``:*``. A set that names a
namespace limits requests in it; the empty set covers nothing; a set that names only
other namespaces limits nothing in this one. A child can narrow, never expand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WILDCARD = ":*"


def covers(declared: Iterable[str], requested: str) -> bool:
    """Whether a declared set allows a requested scope.

    Args:
        declared: the scopes of one node.
        requested: one scope, exact, or a prefix ``…:*`` (all of it must be covered).
    """
    namespace = requested.partition("|")[0]
    empty = True
    limited = False
    for scope in declared:
        empty = False
        if scope.partition("|")[0] != namespace:
            continue
        limited = True
        if scope == requested or (
            scope.endswith(WILDCARD) and requested.startswith(scope[:-1])
        ):
            return True
    return not (empty or limited)


def escalates(child: Iterable[str], ancestor: Iterable[str]) -> tuple[str, ...]:
    """Scopes of the child that the ancestor does not cover."""
    return tuple(scope for scope in child if not covers(ancestor, scope))
