"""Write the rules of the table for the conformance kit, out of our own cases.

The cases of tests/property/test_*_cases.py say facts, a question and all reasons to
deny. `export` runs them with a recorder in place of their assertion, and gives the
same as YAML, a file for each rule. Run it after a change of those cases:

    .venv/bin/python -m tests.conformance.export
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections import defaultdict
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import yaml
from attrs import define

from agents_registry.facts import (
    FOR_PEOPLE,
    SECOND,
    Cause,
    Effect,
    Fact,
    Node,
    Reach,
    Withdraw,
    fact_id,
    to_plain,
)
from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from conformance.facts import RECEIVED, TIMES
from tests.model import reasons_to_deny
from tests.property.agreement import right_answers
from tests.property.cases import node
from tests.property.worlds import CONTAINED, KINDS, make
from tests.standing import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.property.worlds import Question, World

FOLDER: Final = Path(__file__).parents[2] / "conformance" / "cases"
MODULES: Final = ("cascade", "time", "owner", "scope", "containment")
WORLDS: Final = 60
CONTAINED_WORLDS: Final = 10
LARGEST: Final = 60  # facts; a larger case would be a page of nothing
REASONS: Final = {
    "revoke": "revoked",
    "suspend": "suspended",
    "narrow": "narrowed",
    "ownerless": "no_living_owner",
}
HEADER: Final = (
    "# Written by tests/conformance/export.py out of the cases of tests/property.\n"
)
_CORE: Final = frozenset({"node", "edge", "alias", "cause", "lift", "renewal"})


@define
class Asked:
    """One call of ``decides``."""

    name: str
    why: str
    facts: list[Fact]
    who: tuple[Identifier, ...]
    reasons: set[str]
    ask: dict[str, Any]


def recorded() -> Iterator[Asked]:
    """Run every case and yield what it asks."""
    for module_name in MODULES:
        module = importlib.import_module(f"tests.property.test_{module_name}_cases")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and test.__module__ == module.__name__:
                yield from _run(module, name, test)


def _run(module: Any, name: str, test: Callable[..., None]) -> Iterator[Asked]:
    said = name.removeprefix("test_").replace("_", " ")
    why = (inspect.getdoc(test) or "").partition("\n\n")[0].replace("\n", " ")
    calls: list[Asked] = []

    def decides(
        facts: Iterable[Fact], who: Any, reasons: Iterable[str], **ask: Any
    ) -> None:
        ask.pop("orders", None)
        names = (who,) if isinstance(who, Identifier) else who
        calls.append(Asked(said, why, list(facts), names, set(reasons), ask))

    genuine, module.decides = module.decides, decides
    try:
        for arguments in _parameters(test):
            test(**arguments)
    finally:
        module.decides = genuine
    yield from calls


def _parameters(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """Give the arguments of a test, for all combinations of its marks."""
    marks = [m for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
    choices = []
    for mark in marks:
        names, values = mark.args[:2]
        names = names.split(",") if isinstance(names, str) else names
        choices.append([
            dict(zip(map(str.strip, names), one if len(names) > 1 else (one,),
                     strict=True))
            for one in values
        ])  # fmt: skip
    for combination in product(*choices):
        yield {name: value for one in combination for name, value in one.items()}


def export() -> dict[str, str]:
    """Give the files: name to text."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for asked in recorded():
        if len(asked.facts) <= LARGEST:
            _add(groups[_group(asked)], asked)
    for cases in groups.values():
        _number(cases)
    files = {
        f"rule-{group}.yaml": HEADER + dump({"defaults": {"now": 500}, "cases": cases})
        for group, cases in sorted(groups.items())
    }
    contained = [mixed(range(CONTAINED_WORLDS), topic) for topic in sorted(CONTAINED)]
    cases = [case for content in contained for case in content["cases"]]
    return {
        **files,
        "rule-mixed.yaml": HEADER + dump(mixed(range(WORLDS))),
        "rule-contained.yaml": HEADER + dump({**contained[0], "cases": cases}),
    }


def mixed(seeds: Iterable[int], topic: str | None = None) -> dict[str, Any]:
    """Give random worlds: rules meet there that no single case brings together.

    Args:
        seeds: one of each.
        topic: what they are about.
    """
    lenient = {"unknown": dict.fromkeys(sorted(set(KINDS)), "allow_and_report")}
    cases = [
        {
            "name": " ".join(filter(None, (topic, f"world {seed}"))),
            "facts": list(written(list(world.facts))),
            "checks": [_question(world, question) for question in asked],
        }
        for seed in seeds
        for world in [make(seed, topic)]
        for asked in [[question for question in world.questions if question.lenient]]
        if asked and _writable(world)
    ]
    return {"defaults": {"settings": lenient}, "cases": cases}


def _writable(world: World) -> bool:
    """Tell whether each withdraw has its fact beside it, which gives it its id."""
    ids = {fact_id(fact).hex() for fact in world.facts}
    withdrawn = {fact.fact_id for fact in world.facts if isinstance(fact, Withdraw)}
    return withdrawn <= ids and len(world.facts) <= LARGEST


def _question(world: World, question: Question) -> dict[str, Any]:
    reasons = right_answers(standing(world.facts), question)
    issued = question.issued_at
    check = {
        "check": [str(name) for name in question.identifiers],
        "issued_at": None if issued is None else seconds(issued),
        "chain": [str(name) for name in question.chain],
        "scope": question.scope,
        "now": seconds(question.now),
        "deny": sorted(REASONS.get(r, r) for r in reasons),
    }
    needed = {name: value for name, value in check.items() if value not in (None, [])}
    return needed if reasons else {**needed, "allow": "full"}


def _add(cases: list[dict[str, Any]], asked: Asked) -> None:
    """Add a question, to the last case where that has the same facts."""
    settings = {}
    if not _introduced(asked):
        kinds = sorted({name.kind for name in asked.who})
        settings = {"settings": {"unknown": dict.fromkeys(kinds, "allow_and_report")}}
    facts = list(written(asked.facts))
    case = {"name": asked.name, "why": asked.why, **settings, "facts": facts}
    check = _check(asked, plain=not settings)
    if cases and {k: v for k, v in cases[-1].items() if k != "checks"} == case:
        cases[-1]["checks"].append(check)
    else:
        cases.append({**case, "checks": [check]})


def _introduced(asked: Asked) -> bool:
    """Make sure that what is presented is known, if that leaves the answer as it is.

    Our own cases let unknown credentials pass, which a guard of level core need not.
    """
    if _reasons(asked, strict=True) == asked.reasons:
        return True
    known = {fact.node for fact in asked.facts if isinstance(fact, Node)}
    facts = asked.facts
    asked.facts = facts + [node(name) for name in asked.who if name not in known]
    if _reasons(asked, strict=True) == asked.reasons:
        return True
    asked.facts = facts
    return False


def _number(cases: list[dict[str, Any]]) -> None:
    """Tell cases of one name apart; the first says why."""
    seen: dict[str, int] = defaultdict(int)
    for case in cases:
        name = case["name"]
        seen[name] += 1
        if seen[name] > 1:
            case["name"] = f"{name} ({seen[name]})"
            del case["why"]


def _reasons(asked: Asked, *, strict: bool) -> set[str]:
    """Ask the model, with unknown credentials denied."""
    lenient = {name.kind: "allow_and_report" for name in asked.who}
    policy = {"jwt.jti": "allow_if_principal_known"} if strict else lenient
    issued = asked.ask.get("issued")
    return reasons_to_deny(
        standing(asked.facts),
        asked.who,
        now=int(asked.ask.get("now", 500) * SECOND),
        issued_at=None if issued is None else int(issued * SECOND),
        chain=asked.ask.get("chain", ()),
        scope=asked.ask.get("scope"),
        unknown=policy,
    )


def _check(asked: Asked, *, plain: bool) -> dict[str, Any]:
    names = [str(name) for name in asked.who]
    check: dict[str, Any] = {"check": names[0] if len(names) == 1 else names}
    if "issued" in asked.ask:
        check["issued_at"] = asked.ask["issued"]
    if "chain" in asked.ask:
        check["chain"] = [str(name) for name in asked.ask["chain"]]
    for name in ("scope", "now"):
        if name in asked.ask:
            check[name] = asked.ask[name]
    if asked.reasons:
        check["deny"] = sorted(REASONS.get(r, r) for r in asked.reasons)
    else:
        check["allow"] = "core" if plain and _simple(asked) else "full"
    return check


def _simple(asked: Asked) -> bool:
    """Tell whether a guard of level core has to find that this may be allowed."""
    special = {"scope", "chain", "issued"} & asked.ask.keys()
    stated = {f.node for f in asked.facts if isinstance(f, Node) and not f.derived}
    credentials = {n for n in asked.who if is_credential(n)}
    known = credentials <= stated and any(name in stated for name in asked.who)
    copies = len(asked.facts) - len({fact_id(fact) for fact in asked.facts})
    return (
        not (special or copies)
        and known
        and all(
            fact.NAME in _CORE
            and not fact.stamped
            and fact.effective_version == fact.version
            and not (isinstance(fact, Cause) and _special(fact))
            for fact in asked.facts
        )
    )


def is_credential(name: Identifier) -> bool:
    """Tell the class of a name, from its kind."""
    return VOCABULARY.get(name.kind) in {None, NodeClass.CREDENTIAL}


def _special(cause: Cause) -> bool:
    bound = cause.device is not None or cause.tenant is not None
    return bound or cause.reach is Reach.SELF or cause.effect is Effect.NARROW


def _group(asked: Asked) -> str:
    """Give the rule that a case is about: the first of these that it touches."""
    kinds = {fact.NAME for fact in asked.facts}
    causes = [fact for fact in asked.facts if isinstance(fact, Cause)]
    effects = {cause.effect for cause in causes}
    for found, group in (
        ("horizon" in kinds, "horizon"),
        (kinds & {"withdraw", "distrust"}, "corrections"),
        ("owner_set" in kinds, "owners"),
        ("scope_set" in kinds or Effect.NARROW in effects, "scope"),
        (any(cause.reach is Reach.SELF for cause in causes), "self"),
        (Effect.NOT_BEFORE in effects, "not-before"),
        (Effect.SUSPEND in effects, "suspend"),
        ("renewal" in kinds, "expiry"),
        ("holds" in kinds, "attributes"),
        ("alias" in kinds, "alias"),
        (causes, "revoke"),
        (kinds & {"edge"}, "lineage"),
    ):
        if found:
            return group
    return "unknown"


def written(facts: list[Fact], epoch: int = 0) -> Iterator[dict[str, Any]]:
    """Give the facts in the short form of the suite.

    Args:
        facts: withdraws go last; each needs its fact here.
        epoch: ns; the times are written as seconds after it.
    """
    labels = {fact_id(fact).hex(): f"f{n}" for n, fact in enumerate(facts)}
    wanted = {fact.fact_id for fact in facts if isinstance(fact, Withdraw)}
    for fact in sorted(facts, key=_last):
        short = _short(fact, epoch)
        identity = fact_id(fact).hex()
        if isinstance(fact, Withdraw):
            for name in ("fact_id", "kind"):
                del short[name]
            short["of"] = labels[fact.fact_id]
        elif identity in wanted:
            short = {"id": labels[identity], **short}
        yield short


def _last(fact: Fact) -> bool:
    """Order: a withdraw after what it takes back."""
    return isinstance(fact, Withdraw)


def _short(fact: Fact, epoch: int) -> dict[str, Any]:
    """Leave out what the kit fills in; times in seconds."""
    filled: dict[str, Any] = {
        "authority": "vault",
        "version": epoch + SECOND,
        "received_at": max(fact.version, epoch + RECEIVED * SECOND),
        "ingress_key": "key",
        "at": fact.version,
        "settings": fact.settings,  # says nothing to a guard
    }
    plain = to_plain(fact)
    short = {"fact": plain.pop("fact")}
    for attribute in attrs.fields(type(fact)):
        name = attribute.name
        if name in FOR_PEOPLE:
            continue  # no guard is told
        value: Any = plain.get(name)  # of what seldom says something there is none
        default = filled.get(name, attribute.default)
        if getattr(fact, name) == default:
            continue
        timed = name in TIMES and value is not None
        short[name] = seconds(value - epoch) if timed else value
    return short


def seconds(time: int) -> int | str:
    """Give ns as the seconds of the suite: whole, or a decimal text."""
    exact = Decimal(time) / SECOND
    return int(exact) if exact == int(exact) else str(exact)


class _Lines(yaml.SafeDumper):
    """One line for what fits one: facts and checks in flow style."""


def _mapping(dumper: yaml.SafeDumper, mapping: dict[str, Any]) -> yaml.Node:
    flat = not mapping.keys() & {"name", "cases"}
    return dumper.represent_mapping(
        "tag:yaml.org,2002:map", mapping.items(), flow_style=flat
    )


_Lines.add_representer(dict, _mapping)


def dump(content: dict[str, Any]) -> str:
    """Give a file of the suite."""
    return yaml.dump(
        content, Dumper=_Lines, sort_keys=False, width=1000, default_flow_style=False
    )


def main() -> None:
    """Write the files, and remove those that no case fills any more."""
    for old in FOLDER.glob("rule-*.yaml"):
        old.unlink()
    from tests.conformance.recorded import recorded  # noqa: PLC0415 - it needs us

    for name, text in export().items():
        (FOLDER / name).write_text(text, "utf-8")
    (FOLDER / "recorded.yaml").write_text(asyncio.run(recorded()), "utf-8")


if __name__ == "__main__":
    main()
