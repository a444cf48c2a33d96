"""A module to be forked: it does what it is told and says so."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Do what the only argument says."""
    what = sys.argv[1]
    if what == "describes":
        fds = sorted(int(name) for name in os.listdir("/dev/fd"))
        say(f"pid={os.getpid()}\nsession={os.getsid(0)}\ndirectory={Path.cwd()}")
        say(f"path={sys.path[0]}\nmine={os.environ.get('MINE')}\narguments={sys.argv[1:]}")
        say(f"name={__name__}\nfiles={fds[:3] if len(fds) <= 4 else fds}")
        say(f"modules={sys.modules['__main__'].__dict__ is globals()}")
        return
    if what == "waits":
        say("ready")
        sys.stdout.flush()
        signal.pause()
    if what == "aborts":
        os.abort()
    atexit.register(say, "at its end")
    if what == "exits":
        sys.exit(3)
    if what == "complains":
        sys.exit("not today")
    if what == "raises":
        raise ValueError("as it was asked to")


if __name__ == "__main__":
    main()
