"""What a replay found: decisions that would be others, grouped, with examples."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchkeeper.decide.model import Ruling
from watchkeeper.decide.replay.recorded import Recorded
from watchkeeper.wire.decisions import ActionKind, Verdict
from watchkeeper.wire.policy import ReplayExample, ReplayGroup
from watchkeeper.wire.replays import Again

MOST_EXAMPLES = 5
MOST_GROUPS = 200
_APPROVALS = ("approval/", "standing/")

Key = tuple[Verdict, Verdict, str, str, str, ActionKind, str]


@dataclass(slots=True)
class _Group:
    count: int = 0
    examples: list[ReplayExample] = field(default_factory=list)


@dataclass(slots=True)
class Differences:
    """Counts and groups; bounded, however many decisions are looked at."""

    looked_at: int = 0
    same: int = 0
    differ: int = 0
    other_rule: int = 0
    kept: int = 0
    skipped: int = 0
    left_out: int = 0
    _groups: dict[Key, _Group] = field(default_factory=dict)

    def add(self, was: Recorded, how: Again, ruling: Ruling | None) -> None:
        """Count one decision, newest first."""
        self.looked_at += 1
        if how == "kept":
            self.kept += 1
            return
        if ruling is None:
            self.skipped += 1
            return
        before, after = _plain(was.rule), _plain(ruling.rule)
        if (was.verdict, before) == (ruling.verdict, after):
            self.same += 1
            return
        if was.verdict == ruling.verdict:
            self.other_rule += 1
        else:
            self.differ += 1
        key = (was.verdict, ruling.verdict, before, after, was.agent, was.kind, was.name)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                self.left_out += 1
                return
            group = self._groups[key] = _Group()
        group.count += 1
        if len(group.examples) < MOST_EXAMPLES:
            group.examples.append(_example(was, ruling))

    def groups(self) -> tuple[ReplayGroup, ...]:
        """Return the groups: other verdicts first, then other rules; the largest first."""
        found = [
            ReplayGroup(
                before=before,
                after=after,
                before_rule=before_rule,
                rule=rule,
                agent=agent,
                kind=kind,
                name=name,
                count=group.count,
                examples=tuple(group.examples),
            )
            for (before, after, before_rule, rule, agent, kind, name), group in (
                self._groups.items()
            )
        ]
        found.sort(key=lambda one: (one.before == one.after, -one.count, one.agent, one.name))
        return tuple(found)


def _plain(rule: str) -> str:
    """Return a rule without the one request, or standing approval, that it names."""
    return "approval" if rule.startswith(_APPROVALS) else rule


def _example(was: Recorded, ruling: Ruling) -> ReplayExample:
    return ReplayExample(
        decision=was.decision,
        at=was.at,
        run=was.run,
        before_rule=was.rule,
        after_rule=ruling.rule,
        before_reason=was.reason,
        after_reason=ruling.reason,
    )
