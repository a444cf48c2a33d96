"""The probes of `doctor`: what must be refused is asked for, and must be."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from watchkeeper.cli import hook
from watchkeeper.cli.claude_settings import look_at_claude
from watchkeeper.cli.enrolling import settings_file
from watchkeeper.cli.findings import Finding
from watchkeeper.cli.frameworks import CODING_AGENTS, FRAMEWORKS, Place
from watchkeeper.cli.gates import Gate, mentions_hook, read_gate
from watchkeeper.cli.settings_files import commands_of, read_settings
from watchkeeper.client.address import Address
from watchkeeper.client.agent import AgentClient, AgentRun
from watchkeeper.client.calls import path_part
from watchkeeper.client.enrolments import KeptEnrolment
from watchkeeper.client.transport import Transport
from watchkeeper.core.clock import MICROSECONDS, SystemClock, utc_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.wire.agents import CloseRun, OpenRun, RunRow
from watchkeeper.wire.decisions import Ask

PROBE = "watchkeeper.probe"
"""A tool that no contract may name."""
PROBE_TOOL = "WatchkeeperProbe"
"""The same as a coding agent would name it."""
_SOON_SECONDS = 3 * 86_400
_HOOK_SECONDS = 30
_BEFORE = frozenset({"PreToolUse", "BeforeTool", "preToolUse"})
_SESSION = "watchkeeper-doctor"


def look_at_enrolment(kept: KeptEnrolment | None, path: Path, agent: str) -> Finding:
    """Say whether the agent is enrolled on this machine, and for how long."""
    remedy = f"watchkeeper enroll {agent} --framework …"
    if kept is None:
        return Finding("enrolment", False, f"none at {path}", remedy)
    left = kept.expires_at - SystemClock().now()
    until = f"until {utc_text(kept.expires_at)}, {path}"
    return Finding("enrolment", left > _SOON_SECONDS * MICROSECONDS, until, remedy)


def look_at_plane(kept: KeptEnrolment) -> Iterator[Finding]:
    """Say whether the plane is there and takes the credential; the last one has a run's token."""

    async def ready() -> int:
        transport = Transport(Address(url=kept.url))
        try:
            return (await transport.send("GET", "/readyz")).status
        finally:
            await transport.close()

    async def open_run() -> tuple[str, str]:
        async with AgentClient(kept.url, kept.credential) as client:
            run = await client.open_run(OpenRun(goal="watchkeeper doctor"))
            return run.run, run.token

    try:
        status = asyncio.run(ready())
    except WatchkeeperError as error:
        yield Finding("plane", False, error.message, error.remedy or "")
        return
    yield Finding("plane", status == 200, f"{kept.url} answers {status}", "see plane.log")
    try:
        run, token = asyncio.run(open_run())
    except WatchkeeperError as error:
        yield Finding("credential", False, error.message, error.remedy or "")
        return
    yield Finding("credential", True, f"opens runs of {kept.agent}", run=(run, token))


def probe_gateways(kept: KeptEnrolment, run: tuple[str, str]) -> Iterator[Finding]:
    """Ask each address that agents have for what must be refused, with a run, and close that."""
    name, token = run

    async def probes() -> list[Finding]:
        async with AgentClient(kept.url, kept.credential) as client:
            transport = Transport(Address(url=kept.url, token=token))
            try:
                found = [await _probe_decide(AgentRun.of_token(client, token))]
                found += [await _probe_mcp(transport), await _probe_models(transport)]
            finally:
                await transport.close()
                path = f"/v1/runs/{path_part(name)}/close"
                await client.post(RunRow, path, CloseRun(outcome="succeeded"), token=token)
            return found

    try:
        yield from asyncio.run(probes())
    except WatchkeeperError as error:
        yield Finding("gateways", False, error.message, error.remedy or "")


async def _probe_decide(run: AgentRun) -> Finding:
    answer = await run.decide(Ask(name=PROBE))
    refused = answer.verdict == "deny"
    return Finding("decide", refused, f"{PROBE} is {answer.verdict}: {answer.rule}", _ALLOWED)


async def _probe_mcp(transport: Transport) -> Finding:
    listed = await _call_mcp(transport, "tools/list", {})
    called = await _call_mcp(transport, "tools/call", {"name": PROBE, "arguments": {}})
    tools = listed.get("result", {}).get("tools")
    result = called.get("result", {})
    refused = "error" in called or result.get("isError") is True
    if not isinstance(tools, list):
        return Finding("MCP gateway", False, "it lists no tools", "see plane.log")
    detail = f"offers {len(tools)} tools; {PROBE} is {'refused' if refused else 'CALLED'}"
    return Finding("MCP gateway", refused, detail, _ALLOWED)


async def _call_mcp(transport: Transport, method: str, params: dict[str, Any]) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    reply = await transport.send("POST", "/mcp", body=json.dumps(body).encode())
    found = json.loads(reply.body) if reply.status == 200 else {}
    return found if isinstance(found, dict) else {}


async def _probe_models(transport: Transport) -> Finding:
    listed = await transport.send("GET", "/openai/v1/models")
    body = {"model": PROBE, "messages": [{"role": "user", "content": "probe"}]}
    reply = await transport.send(
        "POST", "/openai/v1/chat/completions", body=json.dumps(body).encode()
    )
    good = listed.status == 200 and 400 <= reply.status < 500
    detail = f"answers {listed.status}; a model that no contract names gets {reply.status}"
    return Finding("model gateway", good, detail, _ALLOWED)


_ALLOWED = "take out what allows it: nobody knows what this tool would do"


def probe_framework(
    framework: str, kept: KeptEnrolment, path: Path, file: Path | None
) -> Iterator[Finding]:
    """Check a framework's own settings: its hooks, or the variables of this environment."""
    setup = FRAMEWORKS[framework](Place(kept.url, path, kept.gateway))
    if framework not in CODING_AGENTS:
        yield from _look_at_variables(setup.environment)
        return
    place = settings_file(setup, file)
    try:
        settings = read_settings(place)
    except WatchkeeperError as error:
        yield Finding("settings", False, f"{place}: {error.message}", error.remedy or "")
        return
    remedy = f"watchkeeper enroll {kept.agent} --framework {framework} --write"
    wanted = setup.settings["hooks"]
    found = {event: list(_gates(settings, event)) for event in wanted}
    missing = [event for event, gates in found.items() if not gates]
    detail = f"{place} lacks {', '.join(missing)}" if missing else f"{place} has every event"
    yield Finding("hooks", not missing, detail, remedy)
    yield from _look_at_others(place, settings, wanted)
    if framework == "claude-code":
        yield from look_at_claude(place, settings)
    for event, gates in found.items():
        for entry, gate in gates:
            if event in _BEFORE:
                yield from _probe_hook(event, entry, gate, path, remedy)
            elif event.lower() == "sessionend":
                _run_hook(event, gate)


def _gates(settings: Mapping[str, Any], event: str) -> Iterator[tuple[Mapping[str, Any], Gate]]:
    """Yield those hooks of an event that `enroll` writes here: nothing else is ever run."""
    for entry in commands_of(settings, event):
        gate = read_gate(entry["command"])
        if gate is not None and gate.is_of_here:
            yield entry, gate


def _look_at_others(
    place: Path, settings: Mapping[str, Any], events: Iterable[str]
) -> Iterator[Finding]:
    """Find hooks that look like ours and are not what is written here."""
    for event in events:
        others = [
            entry["command"]
            for entry in commands_of(settings, event)
            if mentions_hook(entry["command"])
            and ((gate := read_gate(entry["command"])) is None or not gate.is_of_here)
        ]
        for command in others:
            detail = f"not what enroll writes here, so it was not run: {make_safe(command)}"
            yield Finding(f"{event} command", False, detail, f"take it out of {place}")


def _look_at_variables(wanted: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "WATCHKEEPER_MCP_URL"):
        found, right = os.environ.get(name), wanted.get(name)
        if right is not None:
            detail = f"{name} is {found}" if found else f"{name} is not set"
            yield Finding("environment", found == right, detail, f"export {name}={right}")


def _probe_hook(
    event: str, entry: Mapping[str, Any], gate: Gate, enrolment: Path, remedy: str
) -> Iterator[Finding]:
    """Run a hook as its settings have it: with the plane, and as if the plane were gone."""
    scale = 1000 if gate.agent == "gemini" else 1
    seconds = entry.get("timeout")
    lasts = isinstance(seconds, int) and seconds / scale > gate.patience + hook.BEYOND_PATIENCE
    detail = f"timeout {seconds}, and it waits {gate.patience} s for a person"
    yield Finding(f"{event} time", lasts, detail, remedy)
    if gate.agent == "cursor":
        closed = entry.get("failClosed") is True
        detail = "with failClosed" if closed else "without failClosed other exit codes let it run"
        yield Finding(f"{event} fails closed", closed, detail, remedy)
    yield _run_probe(f"{event} probe", event, gate, "is not on its allowlist")
    if gate.enrolment != enrolment:
        yield Finding(f"{event} without a plane", False, f"it does not name {enrolment}", remedy)
        return
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        nowhere = Path(scratch, "nowhere.env")
        nowhere.touch(mode=0o600)
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        nowhere.write_text(f"WATCHKEEPER_URL={url}\nWATCHKEEPER_CREDENTIAL=wka_probe\n")
        moved = replace(gate, enrolment=nowhere)
        yield _run_probe(f"{event} without a plane", event, moved, "does not answer")


def _run_probe(what: str, event: str, gate: Gate, words: str) -> Finding:
    ended = _run_hook(event, gate)
    if ended is None:
        return Finding(what, False, "it did not end in time, or could not be started")
    said = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    blocked = ended.returncode == hook.BLOCKED or (ended.returncode == 0 and _denies(ended.stdout))
    right = blocked and words in said
    detail = " ".join(said.split())[:160] or f"exit code {ended.returncode}, and no word"
    return Finding(what, right, f"{'blocked' if blocked else 'NOT BLOCKED'}: {detail}")


def _run_hook(event: str, gate: Gate) -> subprocess.CompletedProcess[bytes] | None:
    """Run a hook's command as the coding agent itself does, with an event of a session of ours."""
    sent = {
        "session_id": _SESSION,
        "conversation_id": _SESSION,
        "hook_event_name": event,
        "cwd": "/",
        "tool_name": PROBE_TOOL if gate.agent in ("claude", "cursor") else "watchkeeper_probe",
        "tool_input": {},
    }
    try:
        return subprocess.run(
            ["/bin/sh", "-c", gate.command],
            input=json.dumps(sent).encode(),
            capture_output=True,
            timeout=_HOOK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _denies(printed: bytes) -> bool:
    try:
        said = json.loads(printed)
        inner = said.get("hookSpecificOutput", said)
        words = (inner.get("permissionDecision"), inner.get("decision"), inner.get("permission"))
    except (ValueError, AttributeError):
        return False
    return "deny" in words
