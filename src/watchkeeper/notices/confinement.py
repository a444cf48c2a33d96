"""A thread in which a library may reach checked network addresses only.

The notification library does its own HTTP and SMTP. What it does passes Python's audit events
(PEP 578), which one hook can refuse: so the very address that is dialled is checked, after every
redirect and each time a name is resolved anew, and no program is started.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, NoReturn

from watchkeeper.core.addresses import reach_of

_DIALS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_NEVER = frozenset({
    "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty",
    "os.posix_spawn", "os.spawn", "pty.spawn", "os.remove", "os.rename", "os.kill",
})  # fmt: skip
_WATCHED = _DIALS | _NEVER


class Confined(OSError):
    """Something was about to happen that a confined thread may not do."""


class _Here(threading.local):
    confined = False
    allow_private = False
    refused: str | None = None


_here = _Here()
_installing = threading.Lock()
_installed = False


@contextmanager
def confined(*, allow_private: bool) -> Iterator[_Here]:
    """Confine this thread; `refused` of what it gives says afterwards what was not let happen."""
    _install()
    _here.confined, _here.allow_private, _here.refused = True, allow_private, None
    try:
        yield _here
    finally:
        _here.confined = False


def _install() -> None:
    """Add the hook, once in this process: it cannot be taken away."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_audit)
            _installed = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _WATCHED or not _here.confined:
        return
    if event in _NEVER:
        _refuse(f"it would have done {event}, which no channel may")
    target = arguments[1] if len(arguments) > 1 else None
    if target is None and event != "socket.connect":
        return  # on a socket that was connected, and checked then
    if not isinstance(target, tuple):
        _refuse("it would have spoken to a socket of this machine")
    try:
        reach = reach_of(ip_address(str(target[0])))
    except ValueError:
        _refuse("it would have called what is no address")
    if reach == "never":
        _refuse("its host leads to an address that nothing may be called at")
    if reach == "private" and not _here.allow_private:
        _refuse(
            "its host leads inside a private network; set `allow_private: true` on the channel "
            "if it belongs there"
        )


def _refuse(why: str) -> NoReturn:
    _here.refused = why
    raise Confined(None, why)
