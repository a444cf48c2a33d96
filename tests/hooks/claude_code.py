"""Claude Code itself, as its Python SDK brings it, offline, with a hook in its settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rig.environments import environment
from tests.rig.plane import Plane

EVENTS = ("SessionStart", "PreToolUse", "PostToolUse", "PostToolUseFailure", "SessionEnd")


def settings_of(
    hook: str,
    *,
    seconds: int = 60,
    allow: Sequence[str] = ("Bash",),
    events: Sequence[str] = EVENTS,
) -> dict[str, Any]:
    """Return settings in which every event runs a command; what is allowed, it alone decides of."""
    run = [{"matcher": "*", "hooks": [{"type": "command", "command": hook, "timeout": seconds}]}]
    return {
        "hooks": dict.fromkeys(events, run),
        "permissions": {"allow": list(allow)},
    }


@dataclass
class ClaudeCode:
    """Claude Code in a home and a working directory of its own."""

    home: Path
    model_url: str
    settings: Mapping[str, Any]
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.python = environment("claude")
        library = self.python.parent.parent / "lib"
        (self.binary,) = library.glob("python*/site-packages/claude_agent_sdk/_bundled/claude")
        self.place = self.home / "work"
        self.place.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """What it needs to start without a network."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.model_url,
            "ANTHROPIC_API_KEY": "stub",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
            **self.more,
        }

    @property
    def marker(self) -> Path:
        """What the one call of these tests makes."""
        return self.place / "marker"

    @property
    def runs(self) -> int:
        """How many times that call ran."""
        return len(self.marker.read_text().splitlines()) if self.marker.exists() else 0

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run it without a person (`-p`) to its end and return what it printed."""
        command = [str(self.binary), "-p", *arguments, "--model", "claude-sonnet-4-5"]
        command += ["--output-format", "json", "--settings", json.dumps(self.settings)]
        ended = self._run(command)
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def through_sdk(self, prompt: str) -> str:
        """Run it by its Python SDK, and return how the conversation ended."""
        program = Path(__file__).with_name("claude_sdk_app.py")
        ended = self._run([str(self.python), str(program), prompt, json.dumps(self.settings)])
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environ,
            cwd=self.place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def telemetry(plane: Plane, credential: str) -> dict[str, str]:
    """Return what has it send all its telemetry to a plane."""
    return {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
        **{f"OTEL_{signal}_EXPORTER": "otlp" for signal in ("LOGS", "METRICS", "TRACES")},
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": plane.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {credential}",
    }


def shell_command(hook: Sequence[str]) -> str:
    """Return a hook as settings name it."""
    import shlex

    assert hook[0] == sys.executable
    return f"{shlex.join(hook)} || exit 2"
