"""The hook command as coding agents run it: what it lets pass, and what becomes of the rest."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.ground import Ended, after, before, command, enrolment, run, session
from tests.rig.deadline import eventually
from tests.rig.plane import Plane


@pytest.fixture
def hook(plane: Plane, enrolled: Path) -> Any:
    """Run the hook of an agent with an event."""

    def call(event: object, agent: str = "claude", **options: Any) -> Ended:
        more = options.pop("more", ())
        return run(command(agent, enrolled, *more), event, home=plane.directory, **options)

    return call


def run_of(plane: Plane, name: str) -> dict[str, Any]:
    """Return the newest run of a session."""
    rows = plane.operator.get("/v1/runs")["rows"]
    found: dict[str, Any] = next(r for r in rows if (r["business_object"] or {}).get("id") == name)
    return found


def decisions_of(plane: Plane, name: str) -> list[dict[str, Any]]:
    """Return the decisions made in a session, oldest first."""
    rows = plane.operator.get("/v1/decisions", run=run_of(plane, name)["run"])["rows"]
    return list(reversed(rows))


def approve(plane: Plane, name: str) -> None:
    """Approve the one request that waits in a session."""
    wanted = run_of(plane, name)["run"]
    rows = plane.operator.get("/v1/requests", state="pending")["rows"]
    (row,) = [row for row in rows if row["run"] == wanted]
    vote = {"verdict": "approve", "digest": row["digest"], "reason": "looks right"}
    plane.operator.post(f"/v1/requests/{row['request']}/votes", vote)


def kill(plane: Plane, kind: str, name: str) -> str:
    """Kill what is named and return the lock."""
    asked = {"target": {"kind": kind, "name": name}, "reason": "stop it"}
    return str(plane.operator.post("/v1/locks", asked)["lock"])


def test_a_permitted_call_is_decided_once_and_its_end_is_on_record(plane: Plane, hook: Any) -> None:
    assert hook(session("p1")).json() == {}
    assert hook(before(session="p1")).decision == "allow"
    assert hook(after(session="p1")).json() == {}
    assert hook(before(session="p1", call="toolu_2")).decision == "allow"
    assert hook(after(session="p1", call="toolu_2", failed=True)).json() == {}
    rows = decisions_of(plane, "claude:p1")
    assert [(r["name"], r["verdict"], r["outcome"]) for r in rows] == [
        ("claude.bash", "permit", "succeeded"),
        ("claude.bash", "permit", "failed"),
    ]
    assert hook(session("p1", "SessionEnd")).json() == {}
    assert run_of(plane, "claude:p1")["state"] == "succeeded"


def test_the_very_same_call_is_not_permitted_twice(plane: Plane, hook: Any) -> None:
    assert hook(before(session="p2")).decision == "allow"
    again = hook(before(session="p2"))
    assert again.decision == "deny"
    assert "runs once" in again.out


def test_what_no_contract_names_is_denied_with_the_rule(hook: Any) -> None:
    ended = hook(before("WebFetch", session="p3", url="https://example.com"))
    assert ended.decision == "deny"
    assert "contract/coder/tools: tool 'claude.web_fetch'" in ended.out
    assert "continue" not in ended.json()


def test_a_tool_of_a_server_has_its_own_name(plane: Plane, hook: Any) -> None:
    assert hook(before("mcp__github__create_issue", session="p4")).decision == "allow"
    assert hook(before("mcp__github__Create_Issue", session="p4", call="t2")).decision == "deny"
    rows = decisions_of(plane, "claude:p4")
    assert rows[0]["name"] == "mcp.github.create_issue"
    assert rows[1]["name"].startswith("mcp.github.create_issue.")


def test_a_held_call_waits_and_runs_once_after_the_approval(plane: Plane, hook: Any) -> None:
    write = {"session": "h1", "file_path": "/tmp/x", "content": "x"}
    held = hook(before("Write", **write))
    assert held.decision == "deny"
    assert "PENDING APPROVAL" in held.out
    assert hook(before("Write", call="toolu_2", **write)).decision == "deny"
    approve(plane, "claude:h1")
    assert hook(before("Write", call="toolu_3", **write)).decision == "allow"
    assert "PENDING" in hook(before("Write", call="toolu_4", **write)).out, "another call"


def test_a_call_is_put_away_where_nobody_sits_at_the_agent(plane: Plane, hook: Any) -> None:
    write = before("Write", session="h2", file_path="/tmp/x", content="x")
    put_away = hook(write, unattended=True)
    assert put_away.decision == "defer"
    assert "claude -p --resume h2" in put_away.out
    hook(session("h2", "SessionEnd"))
    assert run_of(plane, "claude:h2")["state"] == "held", "its approval is of this run"
    assert hook(write, unattended=True).decision == "defer"
    approve(plane, "claude:h2")
    hook(session("h2", "SessionEnd"))
    assert hook(write, unattended=True).decision == "allow"
    assert hook(write, unattended=True).decision == "deny", "it runs once"
    hook(after("Write", session="h2", file_path="/tmp/x", content="x"))
    hook(session("h2", "SessionEnd"))
    assert run_of(plane, "claude:h2")["state"] == "succeeded"


def test_how_a_session_goes_on_is_told(plane: Plane, hook: Any, enrolled: Path) -> None:
    asked = command("resume", enrolled)
    hook(before("Write", session="h3", file_path="/tmp/x"), unattended=True)
    told = run([*asked, "h3"], b"", home=plane.directory)
    assert told.code == 0
    assert "claude.write waits for a person" in told.out
    approve(plane, "claude:h3")
    assert "is approved" in run([*asked, "h3"], b"", home=plane.directory).out
    nothing = run([*asked, "h4"], b"", home=plane.directory)
    assert (nothing.code, nothing.out) == (2, "")
    assert "nothing waits" in nothing.err


@pytest.mark.parametrize("killed", [False, True])
def test_a_held_call_is_waited_for_as_long_as_the_agent_bears(
    plane: Plane, hook: Any, killed: bool
) -> None:
    name = f"h5-{killed}"
    documents = plane.operator.get("/v1/agents/coder")["contract_yaml"]
    plane.apply(documents.replace("hold_seconds: 0", "hold_seconds: 30"))
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(hook, before("Write", session=name, file_path="/tmp/x"))
            eventually(
                lambda: run_of(plane, f"claude:{name}")["state"] == "held",
                "it is held",
                tolerate=(StopIteration,),
            )
            if killed:
                kill(plane, "run", run_of(plane, f"claude:{name}")["run"])
            else:
                approve(plane, f"claude:{name}")
            ended = waiting.result()
        assert ended.decision == ("deny" if killed else "allow")
        assert not killed or ended.json()["continue"] is False
    finally:
        plane.apply(documents)


@pytest.mark.parametrize("kind", ["run", "agent"])
def test_a_kill_denies_the_call_and_ends_the_session(plane: Plane, hook: Any, kind: str) -> None:
    name = f"k-{kind}"
    assert hook(before(session=name)).decision == "allow"
    lock = kill(plane, kind, run_of(plane, f"claude:{name}")["run"] if kind == "run" else "coder")
    try:
        under = hook(before(session=name, call="toolu_2"))
        assert under.decision == "deny"
        assert under.json()["continue"] is False
        assert under.json()["stopReason"]
        told = hook(after(session=name)).json()
        assert told["continue"] is False
        beginning = hook(session(f"{name}-new"))
        assert ("continue" in beginning.json()) == (kind == "agent")
    finally:
        plane.operator.post(f"/v1/locks/{lock}/lift", {"reason": "go on"})
    plane.advance(1000)
    stopped = hook(before(session=name, call="toolu_3"))
    assert stopped.decision == "deny", "the session's run stays stopped"
    assert "stopped by a kill" in stopped.out
    further = hook(before(session=f"{name}-next"))
    assert further.decision == "allow", further


def test_a_session_outlives_its_token(plane: Plane, hook: Any) -> None:
    assert hook(before(session="t1")).decision == "allow"
    known = run_of(plane, "claude:t1")["run"]
    plane.advance(1000)
    assert hook(before(session="t1", call="toolu_2")).decision == "allow"
    assert run_of(plane, "claude:t1")["run"] == known


def test_many_first_calls_at_once_share_one_run(plane: Plane, hook: Any) -> None:
    with ThreadPoolExecutor(6) as pool:
        calls = [before(session="c1", call=f"toolu_{n}") for n in range(6)]
        assert {ended.decision for ended in pool.map(hook, calls)} == {"allow"}
    rows = plane.operator.get("/v1/runs")["rows"]
    assert [(r["business_object"] or {}).get("id") for r in rows].count("claude:c1") == 1


def test_the_gateways_own_tools_are_left_to_it(plane: Plane, hook: Any) -> None:
    plane.apply(
        '{"upstream": {"name": "books", "transport": "http", "url": "http://127.0.0.1:9/mcp"}}',
        "tool: {name: books.read, upstream: books, does: Reads., access: read, risk: low}",
    )
    more = ("--gateway", "watchkeeper")
    assert hook(before("mcp__watchkeeper__books_read", session="g1"), more=more).decision == "allow"
    assert hook(before("mcp__watchkeeper__other", session="g1"), more=more).decision == "deny"
    assert hook(before("mcp__other__books_read", session="g1"), more=more).decision == "deny"
    assert hook(before("mcp__watchkeeper__books_read", session="g1")).decision == "deny"
    assert decisions_of(plane, "claude:g1")[0]["name"] == "mcp.watchkeeper.other"


def test_codex_is_blocked_by_the_exit_code(plane: Plane, hook: Any) -> None:
    event = before(session="x1")
    assert hook(event, "codex").json() == {}
    assert hook(after(session="x1"), "codex").json() == {}
    assert decisions_of(plane, "codex:x1")[0]["outcome"] == "succeeded"
    denied = hook(before("apply_patch", session="x1", call="t2", patch="x"), "codex")
    assert (denied.code, denied.out) == (2, "")
    assert "tool 'codex.apply_patch' is not on its allowlist" in denied.err


def test_gemini_names_no_call_and_its_end_is_found_all_the_same(plane: Plane, hook: Any) -> None:
    def event(name: str, tool: str = "run_shell_command", **more: Any) -> dict[str, Any]:
        told = {"session_id": "m1", "cwd": "/w", "hook_event_name": name, "tool_name": tool}
        return {**told, "tool_input": {"command": "true"}, **more}

    assert hook(event("BeforeTool"), "gemini").json() == {"decision": "allow"}
    assert hook(event("AfterTool", tool_response={"error": "no"}), "gemini").json() == {}
    assert hook(event("BeforeTool"), "gemini").json() == {"decision": "allow"}, "a call of its own"
    assert [row["outcome"] for row in decisions_of(plane, "gemini:m1")] == ["failed", None]
    denied = hook(event("BeforeTool", "web_fetch"), "gemini").json()
    assert denied["decision"] == "deny"
    assert "gemini.web_fetch" in denied["reason"]
    held = hook(event("BeforeTool", "write_file"), "gemini").json()
    assert "PENDING APPROVAL" in held["reason"]
    approve(plane, "gemini:m1")
    assert hook(event("BeforeTool", "write_file"), "gemini").json() == {"decision": "allow"}
    context = {"server_name": "github", "tool_name": "create_issue"}
    assert hook(event("BeforeTool", "x", mcp_context=context), "gemini").json() == {
        "decision": "allow"
    }


def test_cursor_is_answered_in_its_shape(plane: Plane, hook: Any) -> None:
    event = {"conversation_id": "u1", "generation_id": "g", "cwd": "/w", "tool_use_id": "t1"}
    told = {**event, "tool_name": "Shell", "tool_input": {"command": "true"}}
    asked = {**told, "hook_event_name": "preToolUse"}
    assert hook(asked, "cursor").json() == {"permission": "allow"}
    assert hook({**told, "hook_event_name": "postToolUse"}, "cursor").json() == {}
    assert decisions_of(plane, "cursor:u1")[0]["outcome"] == "succeeded"
    denied = hook({**asked, "tool_name": "Delete", "tool_use_id": "t2"}, "cursor").json()
    assert denied["permission"] == "deny"
    assert "cursor.delete" in denied["agent_message"]
    shell = {"conversation_id": "u1", "hook_event_name": "beforeShellExecution", "command": "ls"}
    assert hook(shell, "cursor").json() == {"permission": "allow"}


def test_a_token_for_the_gateways(plane: Plane, enrolled: Path) -> None:
    asked = command("token", enrolled)
    once = run(asked, b"", home=plane.directory).out.strip()
    named = [run([*asked, "--session", "app"], b"", home=plane.directory).out.strip() for _ in "ab"]
    assert len({once, *named}) == 3
    for token in (once, *named):
        ask = {"name": "claude.bash", "arguments": {"command": "date"}}
        assert plane.caller(token).post("/v1/decide", ask)["verdict"] == "permit"
    assert len(decisions_of(plane, "gateway:app")) == 2


def test_over_http_even_a_bad_request_is_denied(plane: Plane, enrolled: Path) -> None:
    """A hook of type http lets the tool run on anything that is no denial."""
    credential = enrolled.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].strip()
    caller = plane.caller(credential)
    answered = caller.post("/hooks/claude", before(session="w1"))
    assert answered["hookSpecificOutput"]["permissionDecision"] == "allow"
    for bearer, body in (
        ("wka_unknown", json.dumps(before(session="w2"))),
        ("wkr_unknown", json.dumps(before(session="w2"))),
        (credential, "no JSON"),
        (credential, json.dumps({**before(session="w2"), "tool_input": 7})),
        (credential, "[]"),
    ):
        reply = plane.caller(bearer).http.post("/hooks/claude", content=body)
        assert reply.status_code == 200
        assert reply.json()["hookSpecificOutput"]["permissionDecision"] == "deny", reply.text
        assert reply.json()["hookSpecificOutput"]["hookEventName"] == "PreToolUse"
    assert caller.http.post("/hooks/other", json={}).status_code == 404
    assert caller.http.get("/hooks/claude").status_code == 405
    unknown = caller.http.post("/hooks/claude", json={**before(), "hook_event_name": "Other"})
    assert unknown.json()["decision"] == "block"


def test_with_a_runs_token_it_is_that_run(plane: Plane, enrolled: Path) -> None:
    credential = enrolled.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].strip()
    opened = plane.caller(credential).post("/v1/runs", {"goal": "one thing"})
    caller = plane.caller(opened["token"])
    for name in ("r1", "r2"):
        answered = caller.post("/hooks/claude", before(session=name, call=f"toolu_{name}"))
        assert answered["hookSpecificOutput"]["permissionDecision"] == "allow"
    rows = plane.operator.get("/v1/decisions", run=opened["run"])["rows"]
    assert len(rows) == 2


def test_over_the_planes_socket(plane: Plane, enrolled: Path, tmp_path: Path) -> None:
    credential = enrolled.read_text().split("WATCHKEEPER_CREDENTIAL=")[1].strip()
    local = enrolment(tmp_path, f"unix:{plane.socket}", credential)
    assert run(command("claude", local), before(session="s9"), home=tmp_path).decision == "allow"
