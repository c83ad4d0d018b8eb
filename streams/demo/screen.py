"""What a person sees of the demo: one screen, plain words, colours at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from agents_registry.identifiers import Identifier
from streams.demo.recording import FALLEN
from streams.model.times import SECOND
from streams.sinks.plain_text import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.demo.recording import RecordedCall, Recording

WIDTH: Final = 100  # columns where the output is no terminal
SHORT: Final = 8
_COLUMN: Final = 34
_GUIDE: Final = 4
_ALIVE: Final = "green"
_DEAD: Final = "red"


@frozen
class LineageMember:
    """One token or lease of the lineage.

    Attributes:
        parent: name of what it hangs on, None for an orphan.
        alive: the guard's verdict now.
        before: it was dead before the revocation that is shown.
        after: milliseconds from sending the revocation to the guard's first denial.
    """

    name: str
    identifier: Identifier
    parent: str | None
    alive: bool
    before: bool
    after: float | None


@frozen
class Fall:
    """How long it took, in milliseconds since the revocation was sent.

    Attributes:
        accepted: until the server's 202 was here.
        denied: until the guard in the other process first denied each.
        first: until it denied the one that was revoked.
    """

    accepted: float
    denied: dict[Identifier, float]
    first: float


@frozen
class Found:
    """Presentations of dead credentials.

    Attributes:
        family: how often each of the lineage was presented, by name.
        credentials: how many there were in the whole log.
        times: how many presentations there were of all.
        refused: how many of presented tokens the vault refused, as it noted itself.
        accepted: how many presentations were let through.
    """

    family: dict[str, int]
    credentials: int
    times: int
    refused: int
    accepted: int


class Screen:
    """Prints the demo, part by part."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to a console; by default to standard output."""
        self._begun = False
        self._console = console or Console(highlight=False)
        self.is_terminal = self._console.is_terminal
        if not self.is_terminal:
            self._console.width = WIDTH

    def opening(self, recording: Recording, url: str, guard: int | None) -> None:
        """Say what runs."""
        lines = sum(part.count(b"\n") for part in (
            recording.before, recording.call, recording.after))  # fmt: skip
        way = "forward" if recording.moved >= 0 else "back"
        moved = f"{span(abs(recording.moved) * SECOND)} {way}, to now"
        self._head("The log", (
            f"{lines} lines that a real {recording.server} wrote, sent to a server at "
            f"{url}. Times are moved {moved}: these tokens were given for an "
            f"hour. A guard in another process (pid {guard}) follows the server over a "
            "WebSocket."
        ))  # fmt: skip

    def lineage(self, members: Sequence[LineageMember]) -> None:
        """Draw who hangs on whom, and what the guard says of each."""
        self._head("The lineage", "names, short HMACs, and what the guard says; ms "
                   "since the revocation was sent.")  # fmt: skip
        for root in (each for each in members if each.parent is None):
            tree = Tree(self._member(root, 0), guide_style="dim")
            self._hang(tree, root, members, 1)
            self._console.print(tree)

    def revocation(self, call: RecordedCall, fall: Fall) -> None:
        """Say who revoked what, and how fast it was denied."""
        last = max(fall.denied.values())
        gap = last - fall.accepted
        when = f"{gap:.1f} ms after" if gap >= 0 else f"{-gap:.1f} ms before"
        below = len(fall.denied) - 1
        self._head("The revocation", (
            f"the token {call.by} called {call.what} on {FALLEN} (recorded at "
            f"{call.at[11:23]}). Its lines were accepted (202) {fall.accepted:.1f} ms "
            f"after they were sent. The guard denied {FALLEN} after {fall.first:.1f} "
            f"ms and the last of its {below} descendants after {last:.1f} ms: {when} "
            "the sender had its answer."
        ))  # fmt: skip

    def presentations(self, found: Found) -> None:
        """Say who tried dead credentials again."""
        each = ", ".join(f"{name} {count}x" for name, count in found.family.items())
        let = f"{found.accepted} were let through" if found.accepted else "all refused"
        self._head("Dead credentials in use", (
            f"{each}; with the rest of the log {found.times} uses of "
            f"{found.credentials} dead credentials, {let}. All {found.refused} "
            "presentations that the vault refused are among them, and none that it "
            "allowed."
        ))  # fmt: skip

    def alert(
        self, alert: Mapping[str, Any], total: int, names: Mapping[Identifier, str]
    ) -> None:
        """Show what the webhook got."""
        title = alert["finding_info"]["title"]
        presented = Identifier.parse(alert["unmapped"]["identifier"])
        told = f"{names.get(presented, '?')} ({short(presented)})"
        self._head("The alert", (
            f"A local webhook got {total}, all signatures verified. The one about "
            f"{FALLEN}:"
        ))  # fmt: skip
        self._console.print(Text.assemble(
            "    ", (f"{alert['severity']}", "bold yellow"),
            f"  {title.replace(str(presented), told)}  (count {alert['count']})",
        ))  # fmt: skip

    def orphans(self, names: Sequence[str]) -> None:
        """Say who lives on."""
        self._head("Still alive", (
            f"{' and '.join(names)}: made as orphans, so they hang on no one, and the "
            "guard allows them."
        ))  # fmt: skip

    def next_steps(self, console: str, lines: Sequence[str]) -> None:
        """Say where the console is, and what to try while the server is up.

        Args:
            console: address that opens it, once.
            lines: commands.
        """
        self._head("The console", (
            "all of this in a browser, and each revocation as it spreads. This address "
            "opens it once, within 15 minutes:"
        ))  # fmt: skip
        self._console.print(Text(f"  {console}"), soft_wrap=True)
        self._console.print(Text("\nThe server is up until Ctrl-C. Try, in another "
                                 "terminal:", style="bold"))  # fmt: skip
        for line in lines:
            self._console.print(Text(f"  {line}"), soft_wrap=True)

    def _head(self, title: str, text: str) -> None:
        if self._begun:
            self._console.print()
        self._begun = True
        self._console.print(Text.assemble((f"{title}: ", "bold"), text))

    def _hang(
        self,
        tree: Tree,
        above: LineageMember,
        members: Sequence[LineageMember],
        depth: int,
    ) -> None:
        for each in members:
            if each.parent == above.name:
                branch = tree.add(self._member(each, depth))
                self._hang(branch, each, members, depth + 1)

    def _member(self, each: LineageMember, depth: int) -> Text:
        name = f"{each.name} ".ljust(_COLUMN - _GUIDE * depth)
        text = Text.assemble((name, "bold"), (f"{short(each.identifier)}  ", "dim"))
        if each.alive:
            return text.append("alive", _ALIVE)
        text.append("dead ", _DEAD)
        if each.before:
            return text.append("  revoked by itself before", "dim")
        why = "revoked" if each.name == FALLEN else f"under {FALLEN}"
        return text.append(f"  {why}, denied after {each.after or 0:.1f} ms")


def short(identifier: Identifier) -> str:
    """Enough of an identifier to tell it from the others."""
    value = identifier.value.removeprefix("hmac-sha256:").rpartition("/")[2]
    return value[:SHORT]
