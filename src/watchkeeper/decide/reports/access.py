"""Access to data: in whose calls a class of it passed the plane, and on what ground."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchkeeper.core.clock import utc_text
from watchkeeper.decide.reports.model import Asked, Body, Say, Told, at, said
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.wire.reports import ReportSection

_MOST_ACTIONS = 10_000
"""Names that are told apart: agents may ask for whatever they think of."""


@dataclass(slots=True)
class _Sum:
    sent: int = 0
    given: int = 0
    kept: int = 0
    refused: int = 0
    runs: set[str | None] = field(default_factory=set)
    first: int = 0
    last: int = 0


class Access(Told):
    """Counts what the plane's detectors found in arguments, prompts, results and answers."""

    title = "Access to data"
    counted = (
        "decisions on calls whose arguments or prompts held the data, and outcomes of calls whose "
        "results or answers did; a call counts once each way"
    )
    missing = (
        "what passed past the plane: tools that agents keep to themselves, their memory and files",
        "data that its detectors do not recognise: they know forms (a card's number, an address), "
        "not meaning",
        "on whose behalf a call was made stands with its decision, not again with its outcome",
    )
    picks = (
        Pick(("decision.",), containing='"classes_in":'),
        Pick(("outcome.recorded",), containing='"classes_out":'),
        Pick(("outcome.recorded",), containing='"classes_redacted":'),
    )

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self._by_agent: dict[tuple[str, str, int], _Sum] = {}
        self._by_action: dict[tuple[str, str], _Sum] = {}
        self._listed = self.rows()

    def hear(self, event: Event, body: Body) -> None:
        """Take a decision or an outcome."""
        parts: tuple[tuple[str, str, set[str]], ...]
        if event.type == "outcome.recorded":
            kept = self._classes(body, "classes_redacted")
            given = self._classes(body, "classes_out") - kept
            parts = (("came back", "given", given), ("came back, kept from it", "kept", kept))
        elif event.type == "decision.permitted":
            parts = (("sent", "sent", self._classes(body, "classes_in")),)
        else:
            parts = (("refused or held", "refused", self._classes(body, "classes_in")),)
        for words, figure, classes in parts:
            if not classes:
                continue
            for one in classes:
                agent = (one, event.agent or "", int(body.get("version") or 0))
                self._count(self._by_agent.setdefault(agent, _Sum()), event, figure)
                action = (one, f"{body.get('kind', '')} {body.get('name', '')}")
                if action not in self._by_action and len(self._by_action) >= _MOST_ACTIONS:
                    action = (one, "all others")
                self._count(self._by_action.setdefault(action, _Sum()), event, figure)
            self._listed.add(
                at(event), event.sequence, ", ".join(sorted(classes)), words, event.agent,
                body.get("version"), said(body, "name"), said(body, "rule"),
                said(body, "on_behalf_of"), said(body, "approved_by"), event.run,
            )  # fmt: skip

    def _classes(self, body: Body, name: str) -> set[str]:
        found = set(str(body.get(name) or "").split(",")) - {""}
        return found if self.asked.data is None else found & {self.asked.data}

    @staticmethod
    def _count(one: _Sum, event: Event, figure: str) -> None:
        setattr(one, figure, getattr(one, figure) + 1)
        one.runs.add(event.run)
        one.first, one.last = one.first or event.at, event.at

    def sections(self) -> tuple[ReportSection, ...]:
        """Return who, by what calls, and each entry."""
        figures = ("sent", "given to it", "kept from it", "refused or held", "runs")
        by_agent, by_action = self.rows(), self.rows()
        for (data, agent, version), one in sorted(self._by_agent.items()):
            by_agent.add(data, agent, version, *_figures(one), utc_text(one.first),
                         utc_text(one.last))  # fmt: skip
        for (data, action), one in sorted(self._by_action.items()):
            by_action.add(data, action, *_figures(one))
        return (
            by_agent.section("Agents", "By class of data, agent and version.", "class", "agent",
                             "version", *figures, "first", "last"),
            by_action.section("Tools and models", "By class of data and what was called.", "class",
                              "called", *figures),
            self._listed.section(
                "Entries", "Each entry, oldest first.", "at", "entry", "classes", "how", "agent",
                "version", "called", "rule", "on behalf of", "approved by", "run",
            ),
        )  # fmt: skip


def _figures(one: _Sum) -> tuple[int, ...]:
    return one.sent, one.given, one.kept, one.refused, len(one.runs)
