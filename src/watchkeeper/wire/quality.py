"""How approving goes: statistics that help a team, and hints against fatigue."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Shown

QualityBy = Literal["person", "role", "tool"]
FEWEST = 5
"""Under so many decisions nothing is said of how good they were."""
CHARACTERS_PER_SECOND = 25
"""No faster can text be read: 238 to 260 words a minute are the mean of adults who read
English silently (Brysbaert 2019, doi 10.1016/j.jml.2019.104047), about 22 to 25 characters
a second."""


class QualityRow(Shown):
    """How one person, role or tool decides. Shares are from 0 to 1; None: too few to say."""

    name: str
    decisions: int
    """Votes cast, which is what the other figures are of."""
    approved: int = 0
    enough: bool
    """Whether there were enough decisions to say anything of them."""
    decide_seconds_median: float | None = None
    """From when it was asked to the vote."""
    decide_seconds_p95: float | None = None
    view_seconds_median: float | None = None
    """On screen, as the approvers' consoles say."""
    timed: int = 0
    """Approvals of which a console said how long they were on screen."""
    characters_median: float | None = None
    """How much there was to read: what is asked, arguments and changes."""
    read_speed_median: float | None = None
    """Characters a second."""
    unread_share: float | None = None
    """Of those timed: approved faster than what was shown can be read."""
    overridden_share: float | None = None
    """Approvals that were later judged wrong, or that another person rejected or narrowed."""
    judged: int = 0
    wrong: int = 0
    """Of the decisions that somebody later judged, those found wrong."""
    late: int = 0
    """Votes cast in the last tenth of the time there was."""
    late_approved_share: float | None = None
    early_approved_share: float | None = None
    """Approvals among late votes and among the others: does the clock decide?"""
    requests: int | None = None
    """Requests that asked this role or tool and ended."""
    expired_share: float | None = None
    escalated_share: float | None = None
    pending: int | None = None
    """Requests that ask this person, role or tool now."""
    holders: int | None = None
    """People who hold the role now."""
    per_hour: float | None = None
    """Decisions an hour, over the hours in which there was at least one."""


class Quality(Shown):
    """How approving went in a period; rows by name, never by how good they are."""

    by: QualityBy
    since: int
    until: int
    everything: QualityRow
    rows: tuple[QualityRow, ...]
    rows_left_out: int = 0


class Hint(Shown):
    """What would spare approvers work without lowering what they look at."""

    kind: Literal["standing", "group"]
    """standing: propose a standing approval; group: decide those that wait together."""
    alike: str
    agent: str
    tool: str
    count: int
    """Requests of one shape: approved lately, or waiting now."""
    text: str
    requests: tuple[str, ...] = ()
    """The newest of them; a standing approval may be proposed from the first."""
    pins: dict[str, Any] = Field(default_factory=dict)
    """Arguments that all of them have in common."""
    each_micros: int | None = None
    """The most money that one of them moved."""
    decide_by: int | None = None
    """When the first of those that wait is due."""
