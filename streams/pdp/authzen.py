"""Read AuthZEN requests and write its answers (Authorization API 1.0). Pure.

Subject type and id become an identifier, or a token that is decided like any other.
What the request asks for is no question of revocation: action and resource only
become the requested scope, where the settings say how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.services.typed_names import identifier_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agents_registry.identifiers import Identifier
    from streams.pdp.decider import Decision
    from streams.pdp.settings import PdpSettings

TOKEN: Final = "token"  # noqa: S105 - a subject type
MOST: Final = 1000  # evaluations in one request
_MEMBERS: Final = ("subject", "action", "resource", "context")
_STRINGS: Final = {"subject": ("type", "id"), "action": ("name",),
                   "resource": ("type", "id")}  # fmt: skip
# What ends an evaluation early, as the decision that does it.
SEMANTICS: Final[Mapping[str, bool | None]] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}


class MalformedRequestError(ValueError):
    """A request, or one of its evaluations, is not of the form that it must have."""


@frozen
class Evaluation:
    """One question.

    Attributes:
        subject_type: as the caller says it.
        subject_id: unique in its type.
        action: its name.
        resource_type: as the caller says it.
        resource_id: unique in its type.
    """

    subject_type: str
    subject_id: str
    action: str
    resource_type: str
    resource_id: str

    @classmethod
    def read(cls, body: Any) -> Evaluation:
        """Read a request (section 6.1); unknown members are ignored.

        Raises:
            MalformedRequestError: a member is missing or has another type.
        """
        if not isinstance(body, dict):
            raise MalformedRequestError("an evaluation is a JSON object")
        _check_object(body, "context")
        found = [
            _string(_entity(body, name), f"{name}.{key}", key)
            for name, keys in _STRINGS.items()
            for key in keys
        ]
        return cls(*found)

    def identifier(
        self, subjects: Mapping[str, str], kinds: Collection[str]
    ) -> Identifier | None:
        """Subject's identifier, None where its type or id names nothing.

        Args:
            subjects: subject type to kind.
            kinds: of the vocabulary, which may stand as a type themselves.
        """
        kind = subjects.get(self.subject_type, self.subject_type)
        if self.subject_type not in subjects and kind not in kinds:
            return None
        try:
            return identifier_of(f"{kind}:{self.subject_id}")
        except ValueError:
            return None

    def scope(self, settings: PdpSettings) -> str | None:
        """Return the requested scope, None where the settings map none."""
        if settings.scope is None:
            return None
        return settings.scope.format(
            action=self.action,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
        )


def split(body: Any) -> tuple[list[Any], bool | None] | None:
    """Return the evaluations of a request with the defaults filled in (section 7.1).

    Returns:
        The evaluations, not read yet, and the decision that ends them early; None
        where the request is a single evaluation.

    Raises:
        MalformedRequestError: the request as a whole is not of its form.
    """
    if not isinstance(body, dict):
        raise MalformedRequestError("the body is a JSON object")
    _check_object(body, "options")
    semantic = body.get("options", {}).get("evaluations_semantic", "execute_all")
    if not isinstance(semantic, str) or semantic not in SEMANTICS:
        known = ", ".join(SEMANTICS)
        raise MalformedRequestError(f"evaluations_semantic is one of {known}")
    evaluations = body.get("evaluations", [])
    if not isinstance(evaluations, list) or len(evaluations) > MOST:
        raise MalformedRequestError(f"evaluations is a list of at most {MOST}")
    if not evaluations:
        return None
    defaults = {name: body[name] for name in _MEMBERS if name in body}
    filled = [
        defaults | each if isinstance(each, dict) else each for each in evaluations
    ]
    return filled, SEMANTICS[semantic]


def answer(decision: Decision) -> dict[str, Any]:
    """Write a decision (section 6.2), a denial with its reason, path and cause."""
    if decision.allowed and not decision.observed:
        return {"decision": True}
    return {"decision": decision.allowed, "context": dict(_context(decision))}


def failure(message: str) -> dict[str, Any]:
    """Write what an evaluation gets that cannot be read (section 7.2.1)."""
    error = {"status": 400, "message": message}
    return {"decision": False, "context": {"error": error}}


def _context(decision: Decision) -> Iterator[tuple[str, Any]]:
    yield "reason", decision.reason
    if decision.observed:
        yield "observed", True
    verdict = decision.verdict
    if verdict is None:
        return
    if verdict.path:
        yield "path", [str(name) for name in verdict.path]
    if verdict.cause is not None:
        yield (
            "cause",
            {
                "id": verdict.cause.fact_id,
                "target": str(verdict.cause.target),
                "effect": verdict.cause.effect.value,
                "authority": verdict.cause.authority,
            },
        )


def _check_object(body: Mapping[str, Any], name: str) -> None:
    if not isinstance(body.get(name, {}), dict):
        raise MalformedRequestError(f"{name} is a JSON object")


def _entity(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    entity = body.get(name)
    if not isinstance(entity, dict):
        raise MalformedRequestError(f"{name} is missing, or no JSON object")
    if not isinstance(entity.get("properties", {}), dict):
        raise MalformedRequestError(f"{name}.properties is a JSON object")
    return entity


def _string(entity: Mapping[str, Any], where: str, key: str) -> str:
    value = entity.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedRequestError(f"{where} is missing, or no string")
    return value
