"""Exit codes, the same for every command; scripts may rely on them."""

from __future__ import annotations

from watchkeeper.core import errors

OK = 0
REFUSED = 1
"""The plane refused, or the input is wrong."""
USAGE = 2
"""The command line is wrong, or there is no terminal for a screen."""
NOT_FOUND = 3
CONFLICT = 4
"""Decided, changed or taken meanwhile; also: another plane holds the state directory."""
UNREACHABLE = 5
"""No plane answers."""
NOT_ALLOWED = 6
"""Not signed in, or without the permission."""
WOULD_CHANGE = 7
"""`apply --check`: what is in force differs from the directory; `policy replay`: a decision
would be another."""
HELD = 8
"""`submit`: a person has not decided yet."""
UNCONFIRMED = 9
"""`kill`, `pause`: the lock is in force, and a receipt is unconfirmed; `drill`: it has findings."""

MEANINGS = {
    OK: "done",
    REFUSED: "refused, or wrong input",
    USAGE: "wrong command line, or no terminal for a screen",
    NOT_FOUND: "no such thing",
    CONFLICT: "decided, changed or taken meanwhile",
    UNREACHABLE: "no plane answers",
    NOT_ALLOWED: "not signed in, or without the permission",
    HELD: "`submit`: a person has not decided yet",
    UNCONFIRMED: "`kill`, `pause`: in force, a receipt is unconfirmed; `drill`: it has findings",
    WOULD_CHANGE: "`apply --check`, `policy replay`: something would be otherwise",
}

_BY_ERROR: tuple[tuple[type[errors.WatchkeeperError], int], ...] = (
    (errors.NotFound, NOT_FOUND),
    (errors.Conflict, CONFLICT),
    (errors.Unavailable, UNREACHABLE),
    (errors.Unauthenticated, NOT_ALLOWED),
    (errors.Forbidden, NOT_ALLOWED),
)


def code_of(error: errors.WatchkeeperError) -> int:
    """Return the exit code for an error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), REFUSED)
