"""A plane that governs a coding agent's tools, and its hook as that agent would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from watchkeeper.cli import hook

SCRIPT = Path(hook.__file__)
DOCUMENTS = (
    """
agent:
  name: coder
  owner: platform
  namespace: default
  mission: Work in the repository.
  tools:
    allowlist:
      - name: claude.bash
      - name: codex.bash
      - name: gemini.run_shell_command
      - name: cursor.shell
      - name: mcp.github.create_issue
      - {name: claude.write, requires_approval: true}
      - {name: gemini.write_file, requires_approval: true}
  approvals: {role: leads, sla_seconds: 3600, hold_seconds: 0}
  identity: {mode: own, token_ttl_seconds: 900}
""",
    *(
        f"tool: {{name: {name}, does: Changes the working copy., access: write, risk: medium}}"
        for name in (
            "claude.bash",
            "codex.bash",
            "gemini.run_shell_command",
            "cursor.shell",
            "mcp.github.create_issue",
            "claude.write",
            "gemini.write_file",
        )
    ),
    "role: {name: leads, members: [owner]}",
)
POLICY = '@id("contracts-permit")\npermit (principal, action, resource);'


@dataclass(frozen=True)
class Ended:
    """How a hook ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, parsed."""
        return json.loads(self.out)

    @property
    def decision(self) -> str:
        """What Claude Code is told of the call."""
        return str(self.json()["hookSpecificOutput"]["permissionDecision"])


def governed(plane: Plane) -> Path:
    """Put the coder's world in force and return its enrolment file."""
    plane.apply(*DOCUMENTS, contracts__cedar=POLICY)
    return enrolment(plane.directory, plane.url, plane.enrol("coder").credential)


def enrolment(directory: Path, url: str, credential: str) -> Path:
    """Write an enrolment file."""
    path = directory / "coder.env"
    path.touch(mode=0o600)
    path.write_text(f"WATCHKEEPER_URL={url}\nWATCHKEEPER_CREDENTIAL={credential}\n")
    return path


def command(agent: str, enrolled: Path, *more: str) -> list[str]:
    """Return the command that the settings of a coding agent name."""
    return [
        sys.executable,
        "-I",
        "-S",
        str(SCRIPT),
        agent,
        "--enrolment",
        str(enrolled),
        *more,
    ]


def run(
    arguments: Sequence[str],
    event: object,
    *,
    home: Path,
    unattended: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Ended:
    """Run a hook to its end with an event, or bytes, on its standard input."""
    sent = event if isinstance(event, bytes) else json.dumps(event).encode()
    attended = {"CLAUDE_CODE_SESSION_ATTENDED": "0" if unattended else "1"}
    ended = subprocess.run(
        arguments,
        input=sent,
        env=clean_environment(home, **attended, **(environ or {})),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def before(
    tool: str = "Bash", *, call: str | None = "toolu_1", session: str = "s1", **given: Any
) -> dict[str, Any]:
    """Return the event of Claude Code before a tool runs."""
    event = {
        "session_id": session,
        "transcript_path": "/tmp/t.jsonl",
        "cwd": "/tmp/w",
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_input": given or {"command": "true"},
    }
    return event | ({"tool_use_id": call} if call else {})


def after(tool: str = "Bash", *, failed: bool = False, **more: Any) -> dict[str, Any]:
    """Return the event of Claude Code after a tool ran."""
    name = "PostToolUseFailure" if failed else "PostToolUse"
    return {**before(tool, **more), "hook_event_name": name, "tool_response": {"stdout": ""}}


def session(name: str, moment: str = "SessionStart") -> dict[str, Any]:
    """Return an event of a session of Claude Code."""
    return {"session_id": name, "hook_event_name": moment, "cwd": "/tmp/w", "source": "startup"}
