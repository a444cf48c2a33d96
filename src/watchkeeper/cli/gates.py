"""The command of a coding agent's hooks, and what tells it from any other."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.cli import hook

ISOLATED = ("-I", "-S")
"""The interpreter heeds no environment, working directory or site package."""
_END = f" || exit {hook.BLOCKED}"
"""Whatever way it fails, it ends with the one code that blocks."""
_SCRIPT = ("watchkeeper", "cli", "hook.py")


@dataclass(frozen=True)
class Gate:
    """What is run before each tool: which agent's hook, and with what."""

    agent: str
    gateway: str
    """What the agent calls the plane's MCP gateway."""
    patience: int
    """Seconds that a held call is waited for."""
    enrolment: Path
    python: str = sys.executable
    script: str = hook.__file__

    @property
    def command(self) -> str:
        """Return it as a shell takes it."""
        words = [self.python, *ISOLATED, self.script, self.agent, "--gateway", self.gateway]
        words += ["--patience", str(self.patience), "--enrolment", str(self.enrolment)]
        return shlex.join(words) + _END

    @property
    def is_of_here(self) -> bool:
        """Tell whether it runs what this very installation brings."""
        return (self.python, self.script) == (sys.executable, hook.__file__)


def read_gate(command: object) -> Gate | None:
    """Return what a command runs if it is exactly one that `enroll` writes, here or elsewhere."""
    if not isinstance(command, str) or not command.endswith(_END):
        return None
    try:
        python, *words = shlex.split(command.removesuffix(_END))
        *isolated, script, agent, _, gateway, _, patience, _, enrolment = words
        gate = Gate(agent, gateway, int(patience), Path(enrolment), python, script)
    except ValueError:
        return None
    known = tuple(isolated) == ISOLATED and agent in hook.TOOLS
    known = known and Path(script).parts[-len(_SCRIPT) :] == _SCRIPT
    return gate if known and gate.command == command else None


def mentions_hook(command: object) -> bool:
    """Tell whether a command, whatever it is, has something to do with these hooks."""
    return isinstance(command, str) and any(
        words in command for words in (hook.__file__, "/".join(_SCRIPT), "watchkeeper hook")
    )
