"""`watchkeeper replay agent`: a command is the agent, or it is told what it needs."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

from tests.cli.command import on
from tests.replays.agent import LOST, work
from tests.replays.ground import play
from tests.rig.plane import Plane

COMMAND = """
import json, os, urllib.request
def post(url, body):
    headers = {"authorization": "Bearer " + os.environ["WATCHKEEPER_RUN_TOKEN"],
               "content-type": "application/json", "accept": "application/json, text/event-stream"}
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(asked))
def use(name, **arguments):
    params = {"name": name, "arguments": arguments}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = post(os.environ["WATCHKEEPER_MCP_URL"], asked)
    return answer["result"]["content"][0]["text"]
messages = [{"role": "user", "content": "refund it"}]
asked = {"model": "small-fast", "max_tokens": 9, "messages": messages}
post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", asked)
said = use("books_create_refund", charge_id="ch_1", amount_usd=5)
print(said)
if "closed" in said:
    print(use("books_echo", text="what now?"))
print(sorted(name for name in os.environ if name.startswith(("WATCHKEEPER_", "OTEL_"))))
"""


def test_a_command_is_the_agent(plane: Plane, run: tuple[str, list[str]], tmp_path: Path) -> None:
    file = tmp_path / "result.txt"
    file.write_text(LOST)
    asked = ("replay", "agent", run[0], "--reason", "what if", "--at", "2", "--result", str(file))
    own = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer of-the-agent"}
    ended = on(plane, *asked, "--", sys.executable, "-c", COMMAND, environ=own)
    assert ended.code == 7, ended.err
    assert f"{LOST}\nNOT RECORDED" in ended.out
    assert "WATCHKEEPER_RUN_TOKEN" in ended.out
    assert "WATCHKEEPER_STATE" not in ended.out, "nothing of the person's own goes along"
    assert "OTEL_EXPORTER" not in ended.out, "it would report what nobody decided"
    assert "OTEL_SDK_DISABLED" in ended.out
    assert "It went another way with call 3: tool books.echo" in ended.out
    assert "not played  3 small-fast" in ended.out
    ended = on(plane, *asked, "--", "/nowhere/at-all")
    assert (ended.code, "could not be started" in ended.err) == (1, True)


def test_without_a_command_it_says_what_the_agent_needs(
    plane: Plane, run: tuple[str, list[str]]
) -> None:
    ended = on(plane, "replay", "agent", run[0], "--reason", "what if")
    assert ended.code == 0, ended.err
    exported = dict(
        shlex.split(line)[1].split("=", 1)
        for line in ended.out.splitlines()
        if line.startswith("export ")
    )
    assert asyncio.run(work(exported)) == run[1]
    shown = on(plane, "replay", "report", exported["WATCHKEEPER_RUN_ID"])
    assert "3 of 3 recorded steps" in shown.out
    assert "not yet" in shown.out
    shown = on(plane, "replay", "report", exported["WATCHKEEPER_RUN_ID"], "--end", "--json")
    assert (shown.code, shown.json()["state"]) == (0, "ended")
    nothing = play(plane, run[0])["run"]
    shown = on(plane, "replay", "report", nothing)
    assert (shown.code, "so far it left out step 1" in shown.out) == (0, True)
    shown = on(plane, "replay", "report", nothing, "--end")
    assert (shown.code, "it left out step 1" in shown.out) == (7, True)
