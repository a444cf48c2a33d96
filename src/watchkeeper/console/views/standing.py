"""Standing approvals: what was agreed to beforehand, within which bounds, and what is left."""

from __future__ import annotations

import json
from collections.abc import Sequence

from watchkeeper.console.blocks import Blank, Block, Fact, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.words import moment_text, money_text, person_text
from watchkeeper.wire.standing import StandingRow


def standing_blocks(rows: Sequence[StandingRow], moment: Moment) -> list[Block]:
    """Write those that are proposed or stand; how one is ended stands at the end."""
    if not rows:
        return [
            Prose("Nothing was agreed to beforehand: every call that asks waits for somebody."),
            Blank(),
            Prose("s on a request proposes that calls like it need nobody for a while.", "quiet"),
        ]
    written: list[Block] = []
    for row in rows:
        written += _standing(row, moment)
    return [*written, Blank(), Prose("To end one: watchkeeper standing end ID", "quiet")]


def _standing(row: StandingRow, moment: Moment) -> list[Block]:
    pins = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in row.pins.items())
    money = [
        f"{money_text(row.each_micros)} a call" if row.each_micros is not None else "",
        f"{money_text(row.used_micros)} of {money_text(row.total_micros)} in all"
        if row.total_micros is not None
        else "",
    ]
    written: list[Block] = [
        Title(f"{row.agent} → {row.tool}"),
        Fact("state", "stands" if row.state == "standing" else f"{row.state}: {row.request}"),
        Fact("calls", f"{row.uses} of {row.max_uses} used"),
        Fact("arguments", pins or "any", "text" if pins else "warning"),
    ]
    if any(money):
        written.append(Fact("money", ", ".join(filter(None, money))))
    if row.expires_at is not None:
        written.append(Fact("until", moment_text(row.expires_at, moment.now)))
    by = ", ".join(person_text(one) for one in row.approved_by)
    if by:
        written.append(Fact("approved by", by))
    return [
        *written,
        Fact("proposed by", f"{person_text(row.proposed_by)}: {row.reason}"),
        Fact("id", row.standing, "quiet"),
    ]
