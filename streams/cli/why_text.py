"""What `rescind why` says of an identifier."""

from __future__ import annotations

from typing import Any, Final

from agents_registry.identifiers import LABEL
from streams.cli.output import clean, count

UNKNOWN: Final = "unknown_credential"

# What a reason means, after the colon of the first line.
_REASONS: Final = {
    "lives": "nothing ends it",
    "revoked": "revoked",
    "suspended": "suspended, until a restore",
    "not_before": "all that was issued until a time is ended",
    "no_living_owner": "none of its owners lives",
    "beyond_horizon": "its parent is unknown and it may be older than the records",
    "expired": "expired",
    UNKNOWN: "no system said that it issued it; see `rescind adopt`",
    "narrowed": "narrowed: only requests for what is left of its scope are allowed",
    "scope": "outside of its scope",
    "lineage_too_large": "its lineage is too large to be judged",
}


_MADE: Final = (
    "What a credential makes lives on without it: revoke this one by itself, or what "
    "made it with --with-created."
)
_LEFT: Final = (
    "It made {0}, which do not end with it: see `rescind blast-radius {1}`, and "
    "`rescind revoke {1} --with-created`."
)


def why_text(answer: dict[str, Any]) -> str:
    """Say whether an identifier lives, and what ended it."""
    name, cause, path = clean(answer["identifier"]), answer["cause"], answer["path"]
    lines = [f"{name} {_state(answer)}: {_reason(answer)}"]
    facts: list[tuple[str, object]] = []
    if not answer["alive"]:
        labels = ["path", *[""] * len(path)]
        facts += zip(labels, path, strict=False)
    if cause is not None and not answer["alive"]:
        what, aspect = _meant(cause)
        reach = "" if cause["reach"] == "self" else ", and what descends from it"
        facts += [
            ("cause", f"{cause['effect']} of {what}{reach}"),
            ("authority", cause["authority"]),
            ("time", cause["at"]),
            ("fact", cause["id"]),
        ]
        facts += [("aspect", aspect)] if aspect else []
        facts += [("ends", cause["until"])] if cause.get("until") else []
    facts += [("label", label) for label in answer.get("labels", ())]
    if answer["alive"]:
        above = answer["ancestors"]
        facts += [("hangs on", f"{other} ({depth})") for other, depth in above]
    for ended in answer.get("over", []):
        said = f"{ended['effect']} of {ended['target']}, by itself at {ended['until']}"
        facts.append(("ended", said))
    makers = answer.get("created_by", [])
    for maker in makers:
        is_dead = "" if maker["allowed"] else ", which is denied"
        facts.append(("made by", f"{maker['identifier']}{is_dead}"))
    lines += [f"  {label:<9}  {clean(v)}" for label, v in facts]
    if answer["alive"] and not all(maker["allowed"] for maker in makers):
        lines.append(_MADE)
    if not answer["alive"] and answer.get("created"):
        lines.append(_LEFT.format(count(answer["created"], "identifier"), name))
    return "\n".join(lines)


def _meant(cause: dict[str, Any]) -> tuple[str, str]:
    """Name what a cause is on, by a selector if it has one, and the aspect beside."""
    target, aspect = cause["target"], cause.get("aspect") or ""
    if not aspect or not target.startswith((LABEL, "owner.of:")):
        return target, aspect
    from streams.cli.lifted_selectors import parted

    selector, own = parted(aspect, target)
    return (f"what fits {selector}", own) if selector else (target, aspect)


def _state(answer: dict[str, Any]) -> str:
    alive, at = answer["alive"], answer["at"]
    if at is None:
        return "is alive" if alive else "is denied"
    # Nobody asked whether it had been issued by then.
    return f"was not ended at {at}" if alive else f"was denied at {at}"


def _reason(answer: dict[str, Any]) -> str:
    reason, cause = answer["reason"], answer["cause"]
    if answer["at"] is not None:
        if answer["alive"]:
            return "no cause came before"
        if not answer["dead"]:
            return _REASONS[UNKNOWN]
        return f"{cause['effect']}, {_via(answer)}"
    text = _REASONS.get(reason, reason)
    if reason == "suspended" and (cause or {}).get("until"):
        text = "suspended, until a restore or its end"
    if reason == "not_before" and (mark := answer.get("lives_if_issued_after")):
        text = f"what was issued until {mark} is ended; newer tokens live"
    return f"{text}, {_via(answer)}" if cause is not None else text


def _via(answer: dict[str, Any]) -> str:
    # Another name of the same credential stands in the path and is no ancestor; only
    # the server can tell, where a cause ended it.
    via = answer["via"] or ("ancestor" if len(answer["path"]) > 1 else "direct")
    return "directly" if via == "direct" else "through an ancestor"
