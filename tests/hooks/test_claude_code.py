"""Claude Code itself under the hook: a call that leaves a mark, permitted, denied, held, killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.claude_code import EVENTS, ClaudeCode, settings_of, shell_command, telemetry
from tests.hooks.claude_provider import Provider, Wish, provider
from tests.hooks.ground import command, enrolment, governed
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.traces.entries import CALLER
from watchkeeper.decide.telemetry.bypass import GRACE_SECONDS

pytestmark = pytest.mark.runtimes

MARK: Wish = ("toolu_mark", "Bash", {"command": "echo ran >> marker"})
HELD = "tool: {name: claude.bash, does: Runs a command., access: write, approval: {role: leads}}"
FREE = "tool: {name: claude.bash, does: Runs a command., access: write, risk: medium}"


@pytest.fixture
def model() -> Iterator[Provider]:
    """A model that wants to leave a mark."""
    with provider(MARK) as found:
        yield found


@pytest.fixture
def claude(tmp_path: Path, plane: Plane, enrolled: Path, model: Provider) -> ClaudeCode:
    """Claude Code, governed."""
    plane.apply(FREE)
    vote(plane, "reject")
    hook = shell_command(command("claude", enrolled))
    return ClaudeCode(tmp_path / "home", model.url, settings_of(hook))


def vote(plane: Plane, verdict: str) -> int:
    """Decide all that waits; return how much that was."""
    rows = plane.operator.get("/v1/requests", state="pending")["rows"]
    for row in rows:
        cast = {"verdict": verdict, "digest": row["digest"], "reason": "seen"}
        plane.operator.post(f"/v1/requests/{row['request']}/votes", cast)
    return len(rows)


def test_a_permitted_call_runs_once(claude: ClaudeCode, plane: Plane) -> None:
    ended = claude.ask("leave a mark")
    assert (ended["terminal_reason"], claude.runs) == ("completed", 1)
    (row,) = plane.operator.get("/v1/decisions", name="claude.bash", limit=1)["rows"]
    assert (row["verdict"], row["outcome"]) == ("permit", "succeeded")
    run = plane.operator.get(f"/v1/runs/{row['run']}")
    assert run["business_object"]["id"] == f"claude:{ended['session_id']}"
    assert run["state"] == "succeeded"


def test_what_it_does_comes_of_what_was_asked_and_of_who_started_it(
    tmp_path: Path, plane: Plane, enrolled: Path, model: Provider
) -> None:
    plane.apply(FREE)
    hook = shell_command(command("claude", enrolled))
    settings = settings_of(hook, events=(*EVENTS, "UserPromptSubmit"))
    claude = ClaudeCode(tmp_path / "home", model.url, settings, {"TRACEPARENT": CALLER})
    assert claude.ask("leave a mark")["terminal_reason"] == "completed"
    (row,) = plane.operator.get("/v1/decisions", name="claude.bash", limit=1)["rows"]
    shown = plane.operator.get(f"/v1/traces/{row['run']}")["rows"]
    assert [(one["depth"], one["operation"]) for one in shown] == [
        (0, "invoke_agent"), (1, "user_request"), (2, "execute_tool"),
    ]  # fmt: skip
    assert shown[0]["links"][0]["trace"] == CALLER.split("-")[1]


def test_its_own_telemetry_is_joined_and_its_model_alone_passes_the_gateways_by(
    claude: ClaudeCode, plane: Plane, enrolled: Path
) -> None:
    credential = enrolled.read_text().rpartition("=")[2].strip()
    claude.more = telemetry(plane, credential)
    ended = claude.ask("leave a mark")
    assert (ended["terminal_reason"], claude.runs) == ("completed", 1)
    plane.operator.get("/v1/spans")  # tells what was decided
    plane.advance(GRACE_SECONDS + 1)
    eventually(lambda: plane.operator.get("/v1/telemetry")["waiting"] == 0, "all is looked for")
    (row,) = plane.operator.get("/v1/decisions", name="claude.bash", limit=1)["rows"]
    said = plane.operator.get("/v1/spans", run=row["run"], source="agent", limit=100)["rows"]
    told = [(one["operation"], one["subject"]) for one in said]
    assert told.count(("execute_tool", "Bash")) == 2, "by a span, and by a log record"
    assert {"user_prompt", "invoke_agent"} < {operation for operation, _ in told}
    found = plane.operator.get("/v1/telemetry/findings", agent="coder")["rows"]
    assert [(one["subject"], one["run"]) for one in found] == [("claude-sonnet-4-5", row["run"])]
    used = plane.operator.get("/v1/telemetry/usage", agent="coder")["rows"]
    tokens = next(one for one in used if one["metric"] == "claude_code.token.usage")
    assert (tokens["run"], tokens["metered_tokens"]) == (row["run"], 0)
    assert tokens["input_tokens"] > 0


def test_a_denied_call_does_not_run(claude: ClaudeCode, model: Provider) -> None:
    model.wishes = [("toolu_1", "WebFetch", {"url": "https://x.example", "prompt": "x"})]
    ended = claude.ask("fetch it")
    assert [one["tool_name"] for one in ended["permission_denials"]] == ["WebFetch"]
    assert "DENIED by rule contract/coder/tools" in str(model.results)


def test_a_killed_agents_call_does_not_run_and_its_session_ends(
    claude: ClaudeCode, plane: Plane
) -> None:
    asked = {"target": {"kind": "agent", "name": "coder"}, "reason": "stop it"}
    lock = plane.operator.post("/v1/locks", asked)["lock"]
    try:
        ended = claude.ask("leave a mark")
    finally:
        plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "go on"})
    assert claude.runs == 0
    assert ended["terminal_reason"] != "completed"


def test_a_held_call_is_put_away_and_runs_once_when_resumed(
    claude: ClaudeCode, plane: Plane
) -> None:
    plane.apply(HELD)
    put_away = claude.ask("leave a mark")
    assert put_away["stop_reason"] == "tool_deferred"
    again = claude.ask("--resume", put_away["session_id"])
    assert (again["stop_reason"], claude.runs) == ("tool_deferred", 0)
    assert vote(plane, "approve") == 1
    ended = claude.ask("--resume", put_away["session_id"])
    assert (ended["terminal_reason"], claude.runs) == ("completed", 1)
    assert plane.operator.get("/v1/requests", state="pending")["rows"] == []


def test_of_two_held_calls_at_once_neither_runs(
    claude: ClaudeCode, plane: Plane, model: Provider
) -> None:
    plane.apply(HELD)
    model.wishes = [MARK, ("toolu_2", "Bash", {"command": "echo too >> marker"})]
    assert claude.ask("leave marks")["stop_reason"] == "tool_deferred"
    assert claude.runs == 0
    assert vote(plane, "reject") == 2


def test_without_a_plane_nothing_runs(tmp_path: Path, model: Provider) -> None:
    nowhere = enrolment(tmp_path, "http://127.0.0.1:9", "wka_x")
    hook = shell_command(command("claude", nowhere))
    claude = ClaudeCode(tmp_path / "home", model.url, settings_of(hook))
    assert len(claude.ask("leave a mark")["permission_denials"]) == 1
    assert claude.runs == 0
    assert "does not answer" in str(model.results)


@pytest.mark.parametrize("broken", ["/nowhere/python hook.py", "sh -c 'kill -SEGV $$'", "false"])
def test_a_hook_that_cannot_run_lets_nothing_run(
    tmp_path: Path, model: Provider, broken: str
) -> None:
    """Its command ends with `|| exit 2`: every other code would let the tool run."""
    claude = ClaudeCode(tmp_path / "home", model.url, settings_of(f"{broken} || exit 2"))
    claude.ask("leave a mark")
    assert claude.runs == 0


def test_where_no_rule_allows_tools_a_repository_cannot_let_one_run(
    tmp_path: Path, plane: Plane, enrolled: Path, model: Provider
) -> None:
    plane.apply(FREE)
    hook = shell_command(command("claude", enrolled))
    claude = ClaudeCode(tmp_path / "home", model.url, settings_of(hook, allow=()))
    claude.ask("leave a mark")
    assert claude.runs == 1, "the hook's word is enough"
    theirs = claude.place / ".claude" / "settings.json"
    theirs.parent.mkdir()
    theirs.write_text('{"disableAllHooks": true, "permissions": {"allow": ["Bash"]}}')
    claude.ask("leave a mark")
    assert claude.runs == 1


def test_over_http_a_call_runs_only_where_it_is_permitted(
    tmp_path: Path, plane: Plane, enrolled: Path, model: Provider
) -> None:
    plane.apply(FREE)
    credential = enrolled.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].strip()
    hook = {
        "type": "http",
        "url": f"{plane.url}/hooks/claude",
        "headers": {"Authorization": "Bearer $WATCHKEEPER_CREDENTIAL"},
        "allowedEnvVars": ["WATCHKEEPER_CREDENTIAL"],
    }
    events = {key: [{"matcher": "*", "hooks": [hook]}] for key in EVENTS}
    settings = {"hooks": events, "permissions": {"allow": ["Bash"]}}
    more = {"WATCHKEEPER_CREDENTIAL": credential}
    claude = ClaudeCode(tmp_path / "home", model.url, settings, more)
    claude.ask("leave a mark")
    assert claude.runs == 1
    (row,) = plane.operator.get("/v1/decisions", name="claude.bash", limit=1)["rows"]
    assert (row["verdict"], row["outcome"]) == ("permit", "succeeded")
    claude.more = {"WATCHKEEPER_CREDENTIAL": "wka_unknown"}
    claude.ask("leave a mark")
    assert claude.runs == 1, "a credential that is not known is a denial, not an error"


def test_through_its_sdk_a_call_runs_only_where_it_is_permitted(
    claude: ClaudeCode, plane: Plane, tmp_path: Path
) -> None:
    assert claude.through_sdk("leave a mark").startswith("success")
    assert claude.runs == 1
    plane.apply(HELD)
    claude.marker.unlink()
    claude.through_sdk("leave a mark")
    assert claude.runs == 0
    assert vote(plane, "reject") == 1


def test_a_plane_that_dies_meanwhile_lets_nothing_run(tmp_path: Path, model: Provider) -> None:
    plane = Plane(tmp_path / "own", clock="frozen").start()
    try:
        hook = shell_command(command("claude", governed(plane)))
        claude = ClaudeCode(tmp_path / "home", model.url, settings_of(hook))
        claude.ask("leave a mark")
        assert claude.runs == 1
        plane.kill()
        claude.ask("leave a mark")
        assert claude.runs == 1
    finally:
        plane.close()
