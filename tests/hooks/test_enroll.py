"""`enroll --framework` and `doctor`: what is printed works, what is not governed is found out."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Ended, watchkeeper
from tests.hooks.ground import DOCUMENTS, POLICY
from tests.rig.plane import Plane
from tests.rig.process import clean_environment
from watchkeeper.cli.claude_settings import look_at_claude
from watchkeeper.cli.frameworks import CODING_AGENTS, FRAMEWORKS, Place
from watchkeeper.cli.gates import Gate, read_gate
from watchkeeper.cli.probing import probe_framework
from watchkeeper.cli.settings_files import (
    BEFORE,
    commands_of,
    merge,
    read_settings,
    write_settings,
)
from watchkeeper.client.enrolments import read_enrolment
from watchkeeper.core.errors import Invalid


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane that governs a coder, by the time that is."""
    plane = Plane(tmp_path_factory.mktemp("plane"), clock=None).start()
    plane.apply(*DOCUMENTS, contracts__cedar=POLICY)
    try:
        yield plane
    finally:
        plane.close()


def on(plane: Plane, home: Path, *arguments: str, **environ: str) -> Ended:
    """Run a command on the plane's machine, with a home of the test's own."""
    return watchkeeper(home, *arguments, state=plane.state, environ={"HOME": str(home), **environ})


def checks(ended: Ended) -> dict[str, bool]:
    """Return what `doctor --json` found, by check."""
    return {row["what"]: row["good"] for row in ended.json()["checks"]}


def test_it_prints_no_secret_and_keeps_the_credential_to_its_owner(
    plane: Plane, tmp_path: Path
) -> None:
    told = on(plane, tmp_path, "enroll", "coder", "--framework", "curl")
    assert told.code == 0, told.err
    kept = plane.state / "agents" / "coder.env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    credential = kept.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].split()[0]
    assert credential.startswith("wka_")
    assert "wka_" not in told.out + told.err
    assert "wke_" not in told.out + told.err
    shown = on(plane, tmp_path, "enroll", "coder", "--framework", "curl", "--show-secret")
    assert credential in shown.out, "and it is the same one: it still counts"
    (row,) = [
        row
        for row in plane.operator.get("/v1/agents/coder/credentials")["rows"]
        if row["revoked_at"] is None
    ]
    plane.operator.post(f"/v1/credentials/{row['id']}/revoke", {"reason": "lost"})
    on(plane, tmp_path, "enroll", "coder", "--framework", "curl")
    assert credential not in kept.read_text()


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
def test_every_framework_is_told_where_the_plane_is(framework: str) -> None:
    place = Place("http://127.0.0.1:8750", Path("/state of mine/coder.env"), "watchkeeper-7f")
    setup = FRAMEWORKS[framework](place)
    said = json.dumps([dict(setup.environment), setup.settings, setup.code])
    assert "http://127.0.0.1:8750" in said
    assert "'/state of mine/coder.env'" in said, "as a shell takes it"
    if setup.where == "in its program":
        compile(setup.code, framework, "exec")
    elif framework == "codex":
        assert tomllib.loads(setup.code)["features"] == {"hooks": True}
    elif framework == "cursor":
        assert json.loads(setup.code)["mcpServers"].keys() == {"watchkeeper-7f"}


@pytest.mark.parametrize("framework", sorted(CODING_AGENTS))
def test_settings_are_merged_and_can_be_undone(tmp_path: Path, framework: str) -> None:
    setup = FRAMEWORKS[framework](
        Place("http://127.0.0.1:8750", tmp_path / "it's mine" / "coder.env", "watchkeeper-7f")
    )
    assert setup.file is not None
    file = tmp_path / "it's mine" / setup.file
    event = next(iter(setup.settings["hooks"]))
    own: dict[str, Any] = {"theme": "dark", "hooks": {event: [{"command": "true"}]}}
    for before in (None, own):
        if before is not None:
            file.write_text(json.dumps(before))
        for _ in "ab":
            undo = write_settings(file, merge(read_settings(file), setup.settings, file))
        merged = json.loads(file.read_text())
        gates = [read_gate(one["command"]) for one in commands_of(merged, event)]
        assert sum(one is not None and one.is_of_here for one in gates) == 1
        assert len(merged["hooks"][event]) == (1 if before is None else 2)
        assert merged.get("theme") == (before or {}).get("theme")
        subprocess.run(["/bin/sh", "-c", undo], check=True)
        assert (json.loads(file.read_text()) if file.exists() else None) == before


WRAPPERS = (
    "sudo {}", "{} ; true", "{} # watchkeeper hook", "watchkeeper hook claude", "{}\n",
    "{} --patience 5", "true || {}",
)  # fmt: skip


def test_a_command_that_only_looks_like_ours_is_neither_removed_nor_run(tmp_path: Path) -> None:
    gate = Gate("claude", "watchkeeper-7f", 570, tmp_path / "it's $(mine)" / "coder.env")
    assert read_gate(gate.command) == gate
    other = replace(gate, python="/old/python", script="/old/watchkeeper/cli/hook.py")
    assert read_gate(other.command) == other
    assert not other.is_of_here
    wrapped = [one.format(gate.command) for one in WRAPPERS]
    wrapped += [replace(gate, script="/tmp/evil.py").command]
    wrapped += [gate.command.replace("'", '"'), gate.command.replace("claude", "$(id)", 1)]
    assert [read_gate(one) for one in wrapped] == [None] * len(wrapped)
    known = {"hooks": {"E": [{"hooks": [{"command": one} for one in (*wrapped, other.command)]}]}}
    merged = merge(known, {"hooks": {"E": [{"hooks": [{"command": gate.command}]}]}}, tmp_path)
    assert [one["command"] for one in commands_of(merged, "E")] == [*wrapped, gate.command]


def test_a_settings_file_is_written_through_no_link_that_lies_in_wait(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "settings.json"
    victim.write_text("whole")
    for name in (f".settings.json.{os.getpid()}", f".settings.json{BEFORE}.{os.getpid()}"):
        (tmp_path / name).symlink_to(victim)
    file.write_text("{}")
    write_settings(file, {"hooks": {}})
    assert victim.read_text() == "whole"
    assert json.loads(file.read_text()) == {"hooks": {}}
    assert not [one for one in tmp_path.iterdir() if one.is_file() and not one.is_symlink()
                and one not in (victim, file, tmp_path / f"settings.json{BEFORE}")]  # fmt: skip


@pytest.mark.parametrize("text", ["// mine\n{}", "[]", '{"hooks": 7}', '{"hooks": {"E": 1}}'])
def test_settings_of_another_form_are_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(Invalid, match=r"JSON object|not known here"):
        merge(read_settings(file), {"hooks": {"E": []}}, file)


def test_doctor_finds_what_is_not_governed(plane: Plane, tmp_path: Path) -> None:
    asked = ("--framework", "claude-code", "--json")
    written = on(plane, tmp_path, "enroll", "coder", "--write", *asked).json()
    ended = on(plane, tmp_path, "doctor", "coder", *asked)
    assert ended.code == 0, ended.out
    assert all(checks(ended).values())
    file = Path(written["file"])
    assert file.is_relative_to(tmp_path)
    good = file.read_text()
    path = Path(written["enrolment"])
    kept = read_enrolment(path)
    assert kept is not None
    for spoilt, found in (
        (good.replace(" || exit 2", ""), "PreToolUse command"),
        (good.replace(" || exit 2", f"; touch {tmp_path}/ran || exit 2"), "PreToolUse command"),
        (good.replace(sys.executable, f"touch {tmp_path}/ran; true"), "PreToolUse command"),
        (good.replace('"PreToolUse"', '"PreTool"'), "hooks"),
        (good.replace("600", "60"), "PreToolUse time"),
        (good.replace("coder.env", "other.env"), "PreToolUse probe"),
        (json.dumps({**json.loads(good), "disableAllHooks": True}), "hooks in force"),
        (json.dumps({**json.loads(good), "permissions": {"allow": ["Bash"]}}), "hooks stay"),
        ("{", "settings"),
    ):
        file.write_text(spoilt)
        findings = list(probe_framework("claude-code", kept, path, file))
        assert found in [one.what for one in findings if not one.good], findings
    assert not (tmp_path / "ran").exists()
    sessions = [r["business_object"] for r in plane.operator.get("/v1/runs", state="open")["rows"]]
    assert {"kind": "session", "id": "claude:watchkeeper-doctor"} not in sessions


def test_doctor_looks_into_the_repository_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [one.good for one in look_at_claude(tmp_path / "settings.json", {})] == [True]
    Path(".claude").mkdir()
    for name in ("settings.json", "settings.local.json"):
        Path(".claude", name).write_text('{"disableAllHooks": true}')
    found = [one for one in look_at_claude(tmp_path / "settings.json", {}) if not one.good]
    assert [one.what for one in found] == ["hooks in force"] * 2


@pytest.mark.parametrize("framework", sorted(set(CODING_AGENTS) - {"claude-code"}))
def test_every_coding_agents_hooks_pass_the_probes(
    plane: Plane, tmp_path: Path, framework: str
) -> None:
    path = plane.state / "agents" / "coder.env"
    kept = read_enrolment(path)
    assert kept is not None
    setup = FRAMEWORKS[framework](Place(plane.url, path, kept.gateway))
    write_settings(tmp_path / "hooks.json", setup.settings)
    findings = list(probe_framework(framework, kept, path, tmp_path / "hooks.json"))
    assert len(findings) == (5 if framework == "cursor" else 4)
    assert all(one.good for one in findings), findings


def test_doctor_finds_a_contract_that_allows_anything(plane: Plane, tmp_path: Path) -> None:
    probe = "tool: {name: watchkeeper.probe, does: Anything., access: write}"
    contract = plane.operator.get("/v1/agents/coder")["contract_yaml"]
    allowed = contract.replace("allowlist:", "allowlist:\n      - name: watchkeeper.probe", 1)
    assert allowed != contract
    plane.apply(probe, allowed)
    try:
        ended = on(plane, tmp_path, "doctor", "coder", "--json")
        assert ended.code == 1
        assert checks(ended)["decide"] is False
    finally:
        plane.apply(contract)


def test_doctor_finds_another_address_in_the_environment(plane: Plane, tmp_path: Path) -> None:
    elsewhere = {"OPENAI_BASE_URL": "https://api.example.com/v1"}
    ended = on(plane, tmp_path, "doctor", "coder", "--framework", "openai-agents", **elsewhere)
    assert ended.code == 1
    assert "FAIL  environment: OPENAI_BASE_URL is https://api.example.com/v1" in ended.out


def test_doctor_without_a_plane_or_an_enrolment(plane: Plane, tmp_path: Path) -> None:
    nobody = on(plane, tmp_path, "doctor", "somebody")
    assert (nobody.code, "FAIL  enrolment" in nobody.out) == (1, True)
    kept = plane.state / "agents" / "elsewhere.env"
    lines = (plane.state / "agents" / "coder.env").read_text()
    kept.touch(mode=0o600)
    kept.write_text(lines.replace(plane.url, "http://127.0.0.1:9"))
    gone = on(plane, tmp_path, "doctor", "elsewhere")
    assert (gone.code, "FAIL  plane" in gone.out) == (1, True)
    kept.chmod(0o644)
    assert on(plane, tmp_path, "doctor", "elsewhere").code == 1


def test_the_helpers_of_one_claude_code_share_a_run(plane: Plane, tmp_path: Path) -> None:
    told = on(plane, tmp_path, "enroll", "coder", "--framework", "claude-code", "--json").json()
    models = json.loads(told["code"][told["code"].index("{\n") :])
    helper = models["apiKeyHelper"]
    before = len(plane.operator.get("/v1/runs")["rows"])
    for _ in "ab":  # two processes, each of which asks again
        asked = f"/bin/sh -c {shlex.quote(helper)}; /bin/sh -c {shlex.quote(helper)}; true"
        ended = subprocess.run(["/bin/sh", "-c", asked], capture_output=True, check=True)
        first, second = ended.stdout.split()
        assert first.startswith(b"wkr_")
        assert first != second
    rows = plane.operator.get("/v1/runs")["rows"]
    assert len(rows) == before + 2


def test_the_gateway_has_a_name_of_its_own_that_stays(plane: Plane, tmp_path: Path) -> None:
    asked = ("enroll", "coder", "--framework", "codex", "--json")
    first = on(plane, tmp_path, *asked).json()
    kept = read_enrolment(Path(first["enrolment"]))
    assert kept is not None
    assert kept.plane_uid == os.getuid()
    gateway = kept.gateway
    assert gateway != "watchkeeper"
    assert f"[mcp_servers.{gateway}]" in first["code"]
    assert f"--gateway {gateway} " in json.dumps(first["settings"])
    Path(first["enrolment"]).write_text(
        Path(first["enrolment"]).read_text().replace(kept.credential, "wka_gone")
    )
    again = on(plane, tmp_path, *asked).json()
    assert again["settings"] == first["settings"], "a new credential leaves the name"


def printed(plane: Plane, home: Path, framework: str) -> tuple[str, str]:
    """Return the exports and the code that are printed for a framework."""
    told = on(plane, home, "enroll", "coder", "--framework", framework).out
    exports, _, code = told.partition("\n# in its program:\n")
    return exports, code


def run_with(exports: str, program: str, home: Path) -> str:
    """Run a Python program in a shell that took the exports."""
    file = home / "program.py"
    file.write_text(program)
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\nexec {sys.executable} {file}"],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_printed_for_libraries_governs_the_official_clients(
    plane: Plane, tmp_path: Path
) -> None:
    exports, _ = printed(plane, tmp_path, "pydantic-ai")
    program = """
import anthropic, openai
print(len(openai.OpenAI().models.list().data), len(anthropic.Anthropic().models.list().data))
ask = [{"role": "user", "content": "hello"}]
try:
    openai.OpenAI().chat.completions.create(model="other", messages=ask)
except openai.PermissionDeniedError as refused:
    print(refused)
try:
    anthropic.Anthropic().messages.create(model="other", messages=ask, max_tokens=5)
except anthropic.PermissionDeniedError as refused:
    print(refused)
"""
    said = run_with(exports, program, tmp_path)
    assert said.startswith("0 0\n")
    assert said.count("DENIED by rule contract/coder/models") == 2


def test_what_is_printed_for_openai_agents_connects_its_tools(plane: Plane, tmp_path: Path) -> None:
    exports, code = printed(plane, tmp_path, "openai-agents")
    program = f"""{code}
import asyncio

async def main():
    async with tools:
        print([tool.name for tool in await tools.list_tools()])
        print((await tools.call_tool("watchkeeper.probe", {{}})).is_error)

asyncio.run(main())
"""
    assert run_with(exports, program, tmp_path) == "[]\nTrue\n"


def test_what_is_printed_for_curl_is_a_script_that_runs(plane: Plane, tmp_path: Path) -> None:
    told = on(plane, tmp_path, "enroll", "coder", "--framework", "curl").out
    ended = subprocess.run(
        ["/bin/sh", "-e"],
        input=told,
        env={**os.environ, **clean_environment(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert '"verdict":"deny"' in ended.stdout
    assert '"tools":[]' in ended.stdout
    assert '"object":"list"' in ended.stdout
