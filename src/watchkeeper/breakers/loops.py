"""The same call, or the same round of calls, again and again in one run.

What is compared is the call: its name and its arguments. Reading page after page is no loop, for
each page is another call. Asking for the state of a job is one, however the answer changes: give
an agent that polls more `repeats`, or a tool that waits. A model call is the same where the whole
conversation is; so of rounds only the tool calls count, between which the conversation grows.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from watchkeeper.breakers.model import Loop, Permitted
from watchkeeper.core.clock import MICROSECONDS

_MOST_RUNS = 256
"""Runs that are looked at; those that were quiet for longest are given up."""
_MOST_CALLS = 64
"""Different calls of one run that are counted; those seen longest ago are given up."""
_FEWEST_CALLS = 16
"""How many where very many runs are under way."""
_CALLS_TOGETHER = 2048
_FEWEST_ROUNDS = 3


class Course(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run did of late."""

    at: int = 0
    calls: Mapping[str, tuple[int, ...]] = {}
    """When each call came, the newest `repeats` times; the call seen last stands last."""
    newest: tuple[tuple[str, int], ...] = ()
    """The newest tool calls and when they were."""
    same: tuple[int, ...] = ()
    """For rounds of 1, 2, … calls: how many calls in a row were what came that long before."""


class Loops(msgspec.Struct, frozen=True, omit_defaults=True):
    """The runs of one version that are under way."""

    runs: Mapping[str, Course] = {}


class Found(msgspec.Struct, frozen=True):
    """What goes round and round."""

    calls: int
    """In one round."""
    times: int


def step(loops: Loops, call: Permitted, loop: Loop) -> tuple[Loops, Found | None]:
    """Count in a call that was let pass; say whether its run goes round and round."""
    since = call.at - loop.window_seconds * MICROSECONDS
    course = loops.runs.get(call.run) or Course()
    runs = {run: one for run, one in loops.runs.items() if one.at > since and run != call.run}
    most = min(_MOST_CALLS, max(_FEWEST_CALLS, _CALLS_TOGETHER // (len(runs) + 1)))
    course, found = _follow(course, call, loop, since, most)
    while len(runs) >= _MOST_RUNS:
        del runs[min(runs, key=lambda run: runs[run].at)]
    runs[call.run] = course
    return Loops(runs), found


def _follow(
    course: Course, call: Permitted, loop: Loop, since: int, most: int
) -> tuple[Course, Found | None]:
    key = call.digest[-16:]
    calls = dict(course.calls)
    times = tuple(at for at in calls.pop(key, ()) if at > since)
    calls[key] = (*times, call.at)[-loop.repeats :]
    while len(calls) > most:
        del calls[next(iter(calls))]
    newest, same, found = course.newest, course.same, None
    if len(calls[key]) >= loop.repeats:
        found = Found(1, len(calls[key]))
    if call.kind == "tool":
        same = _compare(newest, same, key, loop.longest_round, since)
        newest = (*newest, (key, call.at))[-loop.longest_round :]
        found = found or _round(same, len(calls[key]), loop)
    return Course(call.at, calls, newest, same), found


def _compare(
    newest: tuple[tuple[str, int], ...], same: tuple[int, ...], key: str, longest: int, since: int
) -> tuple[int, ...]:
    """Return for each length how many calls in a row now repeat what came that long before."""
    counts = []
    for length in range(1, longest + 1):
        before = same[length - 1] if length <= len(same) else 0
        again = length <= len(newest) and newest[-length][0] == key and newest[-length][1] > since
        counts.append(before + 1 if again else 0)
    return tuple(counts)


def _round(same: tuple[int, ...], times: int, loop: Loop) -> Found | None:
    """Say whether a round of several calls came again and again, the last call so many times.

    The same order of several calls is no chance sooner than the same call: half as often will
    do, three times at least.
    """
    enough = max(_FEWEST_ROUNDS, -(-loop.repeats // 2))
    if times < enough:
        return None
    for length, again in enumerate(same, 1):
        if again + length >= enough * length and not _is_shorter(same, length):
            return Found(length, (again + length) // length)
    return None


def _is_shorter(same: tuple[int, ...], length: int) -> bool:
    """Tell whether a round is one call, or a shorter round, several times."""
    shorter = (one for one in range(1, length) if length % one == 0)
    return length == 1 or any(same[one - 1] + one >= length for one in shorter)
