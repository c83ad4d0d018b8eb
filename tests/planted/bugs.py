"""Bugs that somebody could write into the core, as changes of its source text.

Their texts stand exactly once in their files.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from tests.planted.copies import Change

SEED = 22  # of two dozen that were tried, it shows most of them soonest


@frozen
class Bug:
    """One bug.

    Attributes:
        name: what the core then does.
        changes: what is changed in a module of agents_registry.
        seed: of the random worlds that show it soon.
        topics: of these worlds; empty: those of `TOPICS`.
    """

    name: str
    changes: tuple[Change, ...]
    seed: int = SEED
    topics: tuple[str, ...] = ()


def bug(
    name: str, file: str, *texts: str, seed: int = SEED, topics: tuple[str, ...] = ()
) -> Bug:
    """Write a bug down: old text, new text, old text, new text."""
    path, pairs = f"agents_registry/{file}", zip(texts[::2], texts[1::2], strict=True)
    return Bug(name, tuple(Change(path, *pair) for pair in pairs), seed, topics)


BUGS = (
    bug(
        "owners that own each other live",
        "ownership.py",
        "self.sets.append((node, owners))\n                self._waits[own] += 1",
        "self.sets.append((node, owners))",
    ),
    bug(
        "a doubt met inside an open proof of ownership is kept",
        "ownership.py",
        "while self._proved[until] or self._living[until]:",
        "for _ in range(len(self._proved[until]) + len(self._living[until])):",
    ),
    bug(
        "an issue time counts as stated",
        "lineage.py",
        "self.issued[node] = min(earliest, stated, received)",
        "self.issued[node] = min(earliest, stated)",
    ),
    bug(
        "an owner's own end does not count",
        "ownership.py",
        "last = min(until, self._personal.get(node, until))",
        "last = until",
    ),
    bug(
        "an empty set of owners replaces the last one",
        "registry.py",
        "if not fact.owners:",
        "if fact.owners is None:",
    ),
    bug(
        "of tied statements the last to arrive stands",
        "registers.py",
        "(*standing[1], content)",
        "(content,)",
    ),
    bug(
        "the last statement to arrive stands, whatever its version",
        "registers.py",
        "if standing is None or version > standing[0]:",
        "if standing is None or version != standing[0]:",
    ),
    bug(
        "of tied expiries the later counts",
        "registers.py",
        "elif version == self._version[node]:\n            self.earliest[node] = min(",
        "elif version == self._version[node]:\n            self.earliest[node] = max(",
    ),
    bug(
        "of several authorities the latest expiry counts",
        "registers.py",
        "min(self._shared.of(node))",
        "max(self._shared.of(node))",
    ),
    bug(
        "expiry passes over every edge",
        "life.py",
        "strength >= ENDS",
        "strength >= 0",
    ),
    bug(
        "creation cascades",
        "lineage.py",
        "_STRENGTH.get(relation._value_)",
        "_STRENGTH.get(relation._value_, 0)",
    ),
    bug(
        "a second parent is dropped",
        "lineage.py",
        "if self._further.add(child, parent, strength):",
        "if False:",
    ),
    bug(
        "the fast walk sees one parent",
        "life.py",
        "if flag & MORE_ABOVE:",
        "if flag & 0:",
    ),
    bug(
        "an alias that is told twice parts the names",
        "lineage.py",
        "if not self._are_one(first, second):",
        "if second != first:",
    ),
    bug(
        "an alias gives an issue time",
        "closure.py",
        "if own == UNKNOWN_TIME or node < 0:",
        "if node < 0:",
    ),
    bug(
        "an unknown issue time survives a watermark",
        "endings.py",
        "UNKNOWN_ISSUE if time == UNKNOWN_TIME else time",
        "1 << 62 if time == UNKNOWN_TIME else time",
        "return time == UNKNOWN_TIME or time <= cause.mark",
        "return time != UNKNOWN_TIME and time <= cause.mark",
    ),
    bug(
        "what was issued at the watermark lives",
        "endings.py",
        "if oldest.get(h.node, ENDED) <= h.cause.mark)",
        "if oldest.get(h.node, ENDED) < h.cause.mark)",
        "return time == UNKNOWN_TIME or time <= cause.mark",
        "return time == UNKNOWN_TIME or time < cause.mark",
    ),
    bug(
        "a watermark from the future is believed",
        "cause_rows.py",
        "mark=min(mark, fact.received_at)",
        "mark=mark",
    ),
    bug(
        "a watermark ends principals too",
        "endings.py",
        "            if closure.flags(node) & CREDENTIAL:\n                time",
        "            if True:\n                time",
        "if not closure.flags(node) & CREDENTIAL or self._spares(node, cause):",
        "if self._spares(node, cause):",
    ),
    bug(
        "a credential that names no device is spared",
        "endings.py",
        "if bound and wanted not in bound:",
        "if wanted is not None and wanted not in (bound or ()):",
    ),
    bug(
        "of several copies the latest time counts",
        "cause_rows.py",
        "mark=min(self.mark,",
        "mark=max(self.mark,",
    ),
    bug(
        "reach self cuts the edges to its target",
        "closure.py",
        "return [] if node < 0 else self._lineage.parents(node, MOST_PARENTS)",
        "return [] if node < 0 else [\n"
        "            (p, s) for p, s in self._lineage.parents(node)\n"
        "            if s == 2 or not any(\n"
        "                c.reach.value == 'self' for c in self._registry.causes.on(p)\n"
        "            )\n"
        "        ]",
    ),
    bug(
        "reach self spares a child issued at that time",
        "endings.py",
        "(bisect_left(young, hit.cause.at, key=itemgetter(0)),)",
        "(bisect_left(young, hit.cause.at + 1, key=itemgetter(0)),)",
    ),
    bug(
        "reach self believes the age of an alias",
        "endings.py",
        "for latest in (closure.latest_issue(child),)",
        "for latest in (closure.earliest_issue(child),)",
    ),
    bug(
        "reach self spares what always ends with its parent",
        "endings.py",
        "(ENDED if strength == ALWAYS else latest, child)",
        "(ENDED if strength > ALWAYS else latest, child)",
    ),
    bug(
        "a lift of the same time lifts",
        "causes.py",
        "first = bisect_right(versions, cause.version + near)",
        "first = bisect_left(versions, cause.version + near)",
    ),
    bug(
        "a lift knows no uncertainty",
        "causes.py",
        "first = bisect_right(versions, cause.version + near)",
        "first = bisect_right(versions, cause.version)",
    ),
    bug(
        "a lift from the future is taken",
        "causes.py",
        "if fact.version > fact.received_at + FUTURE_TOLERANCE:",
        "if fact.version > fact.received_at + 2 * FUTURE_TOLERANCE:",
    ),
    bug(
        "a lift lifts every aspect",
        "causes.py",
        "key = (fact.authority, node, fact.aspect)\n        lifts",
        "key = (fact.authority, node, '')\n        lifts",
        "key = (cause.authority, cause.node, cause.aspect)\n        lifts",
        "key = (cause.authority, cause.node, '')\n        lifts",
    ),
    bug(
        "a lift ends a revoke",
        "causes.py",
        "_FINAL = (Effect.REVOKE, Effect.NOT_BEFORE)",
        "_FINAL = (Effect.NOT_BEFORE,)",
    ),
    bug(
        "a narrow lets those pass who do not say what they want",
        "verdict.py",
        "if scope is None or not covers(cause.scopes, scope)\n",
        "if scope is not None and not covers(cause.scopes, scope)\n",
    ),
    bug(
        "a child expands what its parent declares",
        "verdict.py",
        "enumerate(() if scope is None else required)",
        "enumerate(() if scope is None else list(required)[:1])",
    ),
    bug(
        "a set of scopes that names none covers all",
        "scope.py",
        "return not (empty or limited)",
        "return not limited",
    ),
    bug(
        "an attribute hits only those who held it before",
        "registry.py",
        "if held_from <= cause.version:",
        "if held_from < cause.version:",
    ),
    bug(
        "a copy that arrives after its withdrawal counts",
        "registry.py",
        "if not self.withdrawn or fact.NAME in _FINAL:",
        "if not self.needs_rebuild or fact.NAME in _FINAL:",
    ),
    bug(
        "distrust forgets one end of its interval",
        "facts.py",
        "<= fact.received_at <= self.received_to",
        "<= fact.received_at < self.received_to",
    ),
    bug(
        "distrust does not meet what arrives later",
        "registry.py",
        "if any(distrust.covers(fact) for distrust in self.distrusts):",
        "if self.needs_rebuild and any(d.covers(fact) for d in self.distrusts):",
    ),
    bug(
        "a stale redelivery wins its register",
        "versions.py",
        "return fact.stamped or fact.ahead",
        "return fact.ahead",
        "if fact.stamped:",
        "if False:",
        seed=18,
    ),
    bug(
        "a lift from ahead keeps its claim",
        "causes.py",
        "stamp = (fact.effective_version, ",
        "stamp = (fact.version, ",
        seed=18,
    ),
    bug(
        "a register from ahead keeps its claim",
        "fact_base.py",
        "TOLERATED_AHEAD: ClassVar[int] = 0 ",
        "TOLERATED_AHEAD: ClassVar[int] = FUTURE_TOLERANCE ",
    ),
    bug(
        "a copy is believed once its claim has passed",
        "versions.py",
        "        if not fact.ahead and identity not in claims:",
        "        if not fact.ahead:",
    ),
    bug(
        "a claim is forgotten while it can win",
        "versions.py",
        "if claimed < standing:",
        "if standing:",
    ),
    bug(
        "the first actor of the chain counts alone",
        "closure.py",
        "(*claims.presented, *claims.chain)",
        "(*claims.presented, *claims.chain[:1])",
    ),
    bug(
        "what is presented has the time of issue of its first credential",
        "closure.py",
        "credentials = (n for n in self.presented if self.flags(n) & CREDENTIAL)\n"
        "            own =",
        "credentials = self.presented[:1]\n            own =",
    ),
    bug(
        "the verified time counts for the presented names alone",
        "closure.py",
        "return frozenset((*credentials, *self.other_names(credentials)))",
        "return frozenset(credentials)",
    ),
    bug(
        "what is presented together is dated by its subject",
        "closure.py",
        "return CREDENTIAL if self.claims.dated else 0",
        "return 0",
    ),
    bug(
        "the first horizon stays",
        "registry.py",
        "latest = version if merged is None else max(",
        "latest = version if merged is None else min(",
        seed=13,
    ),
    bug(
        "an age that nobody knows is beyond no horizon",
        "life.py",
        "and not horizon <= closure.earliest_issue(node) < UNKNOWN_TIME",
        "and not horizon <= closure.earliest_issue(node)",
    ),
    bug(
        "at the horizon a name counts as old as it says itself",
        "life.py",
        "and not horizon <= closure.earliest_issue(node) < UNKNOWN_TIME",
        "and not horizon <= closure.own_issue(node) < UNKNOWN_TIME",
        seed=15,
    ),
    bug(
        "the last copy of an hour takes the earliest one's place in a compacted log",
        "facts.py",
        "    return _key(realm, fact, fact.received_at)\n",
        "    return _key(realm, fact, fact.received_at // HOUR)\n",
        seed=3,
    ),
    bug(
        "a clock that is ahead ends a cause early",
        "cause_rows.py",
        "self.until + UNTIL_TOLERANCE",
        "self.until - UNTIL_TOLERANCE",
        topics=("ends",),
    ),
    bug(
        "a use after the end of a cause counts as one before it",
        "cause_rows.py",
        "over_at = self.until if at is not None else self.over_at",
        "over_at = self.over_at",
        topics=("ends",),
    ),
    bug(
        "a cause that is limited to kinds spares what hangs on them",
        "endings.py",
        "for node in chosen if node in rank}",
        "for node in chosen if node in self._closure.presented}",
        topics=("kinds",),
    ),
    bug(
        "one of several conditions is enough",
        "limited.py",
        "if all(node in each for each in meeting) and (",
        "if any(node in each for each in (*meeting, *few)) and (",
        topics=("selectors",),
    ),
    bug(
        "limits that choose other nodes are taken for one",
        "limited.py",
        "key = limit.of_owner, len(chosen), total, squares",
        "key = limit.of_owner, 0, 0, 0",
        "if not before >= set(run):",
        "if False:",
        topics=("selectors",),
    ),
    bug(
        "what an owner has is told by one of its names alone",
        "limited.py",
        "names = set((yield from lineage.others_in_steps(node)))",
        "names = {node}",
        topics=("selectors",),
    ),
    bug(
        "a cause on what an owner has ends the owner",
        "cause_rows.py",
        "if not (self.kinds or self.where):",
        "if not (self.kinds or self.where) or self.of_owner:",
        topics=("selectors",),
    ),
    bug(
        "who leaves a team is contained with it",
        "lineage.py",
        "there = set(self.labels.get(node, ())), set(labels)",
        "there = set(), {*self.labels.get(node, ()), *labels}",
        topics=("labels",),
    ),
    bug(
        "a cause that is limited to kinds acts on all",
        "endings.py",
        "elif (limit := cause.limit) is not None:",
        "elif (limit := cause.limit) and False:",
        topics=("kinds",),
    ),
    bug(
        "an owner of some kind survives a cause that is limited to it",
        "endings.py",
        "for limit, hits in (yield from self._reduced()).items():",
        "for limit, hits in ():",
        topics=("kinds",),
    ),
)

CHANGES: Final = [change for bug in BUGS for change in bug.changes]
