"""Claude Code governed in all it does, as `enroll` sets it up: models, servers, own tools."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import watchkeeper
from tests.hooks.claude_code import ClaudeCode, telemetry
from tests.hooks.claude_provider import provider
from tests.hooks.ground import POLICY
from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.upstream import Upstream
from tests.rig.world import upstream_document
from watchkeeper.decide.telemetry.bypass import GRACE_SECONDS

pytestmark = pytest.mark.runtimes

DOCUMENTS = (
    """
agent:
  name: coder
  owner: platform
  model_routing: {default: claude-sonnet-4-5}
  tools:
    allowlist: [{name: claude.bash}, {name: books.lookup_charge}, {name: claude.tool_search}]
  identity: {mode: own, token_ttl_seconds: 900}
""",
    "tool: {name: claude.bash, does: Runs a command., access: write, risk: medium}",
    "tool: {name: claude.tool_search, does: Finds tools., access: read, risk: low}",
    """
tool:
  name: books.lookup_charge
  upstream: books
  upstream_tool: lookup_charge
  does: Reads one charge.
  access: read
  risk: low
""",
)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """A plane by the time that is, until it is put forward."""
    plane = Plane(tmp_path / "plane", clock="running").start()
    try:
        yield plane
    finally:
        plane.close()


def test_one_enrolment_governs_models_servers_and_tools(tmp_path: Path, plane: Plane) -> None:
    books = Upstream(tmp_path / "books").start()
    try:
        with provider() as model:
            documents = {
                "provider": {
                    "name": "stub",
                    "protocol": "anthropic",
                    "base_url": model.url,
                    "models": [{"name": "claude-sonnet-4-5", "context_window": 200_000}],
                }
            }
            logical = {
                "model": {
                    "name": "claude-sonnet-4-5",
                    "provider": "stub",
                    "provider_model": "claude-sonnet-4-5",
                }
            }
            plane.apply(
                *DOCUMENTS,
                json.dumps(documents),
                json.dumps(logical),
                upstream_document(url=books.url),
                contracts__cedar=POLICY,
            )
            eventually(lambda: _is_up(plane), "the upstream is up")
            claude = ClaudeCode(tmp_path / "home", f"{plane.url}/anthropic", {})
            told = watchkeeper(
                claude.home, "enroll", "coder", "--framework", "claude-code", "--write", "--json",
                state=plane.state, environ={"HOME": str(claude.home)},
            ).json()  # fmt: skip
            _follow(claude, told)
            claude.more = {**claude.more, **telemetry(plane, plane.enrol("coder").credential)}
            gateway = told["code"].split()[5]
            model.wishes = (
                ("toolu_1", "Bash", {"command": "echo ran >> marker"}),
                ("toolu_2", f"mcp__{gateway}__books_lookup_charge", {"charge_id": "ch_3"}),
            )
            ended = claude.ask("leave a mark and look a charge up")
            assert ended["terminal_reason"] == "completed", ended
            assert claude.runs == 1
            assert books.executions("lookup_charge") == [{"charge_id": "ch_3"}]
            rows = plane.operator.get("/v1/decisions")["rows"]
            assert {(row["kind"], row["name"], row["verdict"]) for row in rows} >= {
                ("model", "claude-sonnet-4-5", "permit"),
                ("tool", "claude.bash", "permit"),
                ("tool", "books.lookup_charge", "permit"),
            }
            objects = [row["business_object"] for row in plane.operator.get("/v1/runs")["rows"]]
            begins = sorted(one["id"].rpartition("-")[0] for one in objects)
            # one run for its hooks, and one for all that its helpers ask for
            assert [one for one in begins if one.startswith("gateway:")] == ["gateway:claude-code"]
            _is_told_by_itself(plane)
    finally:
        books.stop()


def _is_told_by_itself(plane: Plane) -> None:
    """What it reports is what the plane saw, in whichever of its runs."""
    plane.operator.get("/v1/spans")  # tells what was decided
    plane.advance(GRACE_SECONDS + 1)
    eventually(lambda: plane.operator.get("/v1/telemetry")["waiting"] == 0, "all is looked for")
    said = plane.operator.get("/v1/spans", agent="coder", source="agent", limit=200)["rows"]
    assert {one["subject"] for one in said} > {"Bash", "claude-sonnet-4-5"}
    assert plane.operator.get("/v1/telemetry/findings")["rows"] == []
    used = plane.operator.get("/v1/telemetry/usage")["rows"]
    (tokens,) = (one for one in used if one["metric"] == "claude_code.token.usage")
    reported = tokens["input_tokens"] + tokens["output_tokens"]
    assert 0 < reported <= tokens["metered_tokens"]


def _is_up(plane: Plane) -> bool:
    rows = plane.operator.get("/v1/upstreams")["rows"]
    return any(row["name"] == "books" and row["state"] == "up" for row in rows)


def _follow(claude: ClaudeCode, told: dict[str, Any]) -> None:
    """Do by hand what is printed beside the hooks."""
    server, _, models = told["code"].partition("\n")
    claude.more = {"ANTHROPIC_API_KEY": "", "ENABLE_TOOL_SEARCH": "false"}
    command = server.replace("claude mcp", f"{claude.binary} mcp", 1)
    subprocess.run(["/bin/sh", "-ec", command], check=True, env=claude.environ, cwd=claude.place)
    file = Path(told["file"])
    settings = json.loads(file.read_text()) | json.loads(models[models.index("{") :])
    file.write_text(json.dumps(settings))
