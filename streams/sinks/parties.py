"""Whom a finding names: agent, principal, caller, credential, holder of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from streams.model.findings import FindingKind
from streams.sinks.plain_text import shown
from streams.stages.access.agent_kinds import is_agent
from streams.stages.sentinel.acted import only_place
from streams.stages.sentinel.messages import detail

if TYPE_CHECKING:
    from streams.model.findings import Finding


def agent(finding: Finding) -> Identifier | None:
    """Agent that the credential belongs to, as line, path or facts tell."""
    on_path = next((i for i in known(finding) if is_agent(i.kind)), None)
    if on_path is None and finding.agent is not None:
        return Identifier.parse(finding.agent)
    return on_path


def principal(finding: Finding) -> Identifier | None:
    """Nearest principal on the path, an agent first."""
    named = (i for i in known(finding) if VOCABULARY.get(i.kind) is NodeClass.PRINCIPAL)
    return agent(finding) or next(named, None)


def known(finding: Finding) -> tuple[Identifier, ...]:
    """Name what was presented, and what it descends from up to what ended."""
    return (finding.presented, *finding.path)


def caller(finding: Finding) -> str:
    """Caller whom the log names beside an undeclared credential; "" of others."""
    named = principal(finding)
    undeclared = finding.kind is FindingKind.UNKNOWN_CREDENTIAL
    return shown(str(named)) if undeclared and named is not None else ""


def credential(finding: Finding) -> str:
    """Only credential that an unknown agent was seen with; "" without one."""
    found = finding.kind is FindingKind.UNKNOWN_AGENT
    return only_place(detail(finding))[1] if found else ""


def name_holder(finding: Finding) -> str:
    """Credential that holds the name of a guard; "" where none does, or of others."""
    return shown(finding.owner or "") if finding.presented.kind == "guard" else ""
