"""Where a person looks further: the questions to the server that explain a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from attrs import frozen

from streams.model.findings import SUMMARY, FindingKind

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.findings import Finding


# Lists of the server by kinds of names that are nobody's credential, agent or owner.
_LISTS: Final = {
    SUMMARY: "findings", "source": "sources", "guard": "guards", "realm": "inventory",
    "rescind.actuator": "actuators",
}  # fmt: skip

# Findings on which guards are behind.
_OF_GUARDS: Final = frozenset({
    FindingKind.CLOSURE_PARTIAL, FindingKind.ENFORCEMENT_LAG,
})  # fmt: skip


@frozen
class Links:
    """Links of findings; empty ones where no address is named.

    Attributes:
        base: URL under which people reach the server, without a slash at its end.
        console: URL under which they reach the console, also without.
    """

    base: str = ""
    console: str = ""

    def first(self, finding: Finding) -> str:
        """Link to where a person begins: the finding in the console, or its verdict."""
        return self.page(finding) or self.why(finding)

    def page(self, finding: Finding) -> str:
        """Link to a finding in the console.

        What stands for many findings links to the list of them.
        """
        if not self.console or finding.kind is FindingKind.TEST:
            return ""
        listed = f"{self.console}/findings"
        of = f"realm={quote(finding.realm, safe='')}"
        if finding.presented.kind == SUMMARY:
            return f"{listed}?state=new&{of}"
        return f"{listed}/{quote(finding.id, safe='')}?{of}"

    def why(self, finding: Finding) -> str:
        """Link to the verdict: dead or alive, by which cause, over which path.

        What stands for many findings links to the list of them; sources, guards and
        whole realms have no verdict, and link to the lists of theirs.
        """
        if finding.kind is FindingKind.TEST:
            return ""
        if listed := _LISTS.get(finding.presented.kind):
            return f"{self.base}/v1/{listed}" if self.base else ""
        return self._to("why", finding.presented, finding.realm)

    def lineage(self, finding: Finding) -> str:
        """Link to all that ended with it: what hangs below the name that was ended."""
        ended = finding.path[-1] if finding.path else finding.presented
        return self._to("blast-radius", ended, finding.realm)

    def of(self, finding: Finding) -> dict[str, str]:
        """Links by their subject; empty without an address."""
        page = self.page(finding)
        return ({"Console": page} if page else {}) | self._of_server(finding)

    def _of_server(self, finding: Finding) -> dict[str, str]:
        if not self.base or finding.kind is FindingKind.TEST:
            return {}
        if listed := _LISTS.get(finding.presented.kind):
            return {listed.title(): self.why(finding)}
        links = {"Why": self.why(finding), "Lineage": self.lineage(finding)}
        guards = {"Guards": f"{self.base}/v1/guards"}
        return links | guards if finding.kind in _OF_GUARDS else links

    def _to(self, question: str, identifier: Identifier, realm: str) -> str:
        if not self.base:
            return ""
        name, of = quote(str(identifier), safe=""), quote(realm, safe="")
        return f"{self.base}/v1/{question}/{name}?realm={of}"


NOWHERE: Final = Links()
