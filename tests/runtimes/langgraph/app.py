"""An agent on LangGraph's own server: it waits for a person, works for long, or asks its own way.

`mode` of the input says which; `log` is what it did, and `said` what it was answered. Run with
the path of a file, it serves itself and writes there where.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import json
import operator
import os
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

REFUND = {"name": "stripe.refund", "args": {"amount_usd": 40}, "description": "refund order 7"}
SEVERAL = [REFUND, {"name": "mail.send", "args": {"to": "ada"}, "description": "tell ada"}]


class State(TypedDict, total=False):
    mode: str
    log: Annotated[list[str], operator.add]
    said: Any


def route(state: State) -> str:
    return state.get("mode", "ask")


def ask(state: State) -> State:
    """As LangChain's HumanInTheLoopMiddleware asks."""
    decisions = ["approve", "edit", "reject"]
    config = {"action_name": "stripe.refund", "allowed_decisions": decisions}
    said = interrupt({"action_requests": [REFUND], "review_configs": [config]})
    return {"said": said}


def ask_several(state: State) -> State:
    return {"said": interrupt({"action_requests": SEVERAL, "review_configs": []})}


def ask_plainly(state: State) -> State:
    return {"said": interrupt("shall I go on?")}


def ask_twice(state: State) -> State:
    return {"said": [interrupt("the same?"), interrupt("the same?")]}


def act(state: State) -> State:
    return {"log": ["acted"]}


async def slow(state: State) -> State:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(300):
            await asyncio.Event().wait()
    return {"log": ["slow ended"]}


builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_node("several", ask_several)
builder.add_node("plain", ask_plainly)
builder.add_node("twice", ask_twice)
builder.add_node("act", act)
builder.add_node("slow", slow)
builder.add_conditional_edges(START, route, ["ask", "several", "plain", "twice", "slow"])
builder.add_edge("ask", "act")
builder.add_edge("several", "act")
builder.add_edge("plain", "act")
builder.add_edge("twice", "act")
builder.add_edge("act", END)
builder.add_edge("slow", END)
graph = builder.compile()


def serve(ready: Path) -> None:
    """Serve the graph under two names with `langgraph dev`, offline."""
    directory = ready.parent / "langgraph"
    directory.mkdir()
    shutil.copy(__file__, directory / "app.py")
    graphs = {"refund": "./app.py:graph", "report": "./app.py:graph"}
    described = json.dumps({"dependencies": ["."], "graphs": graphs})
    (directory / "langgraph.json").write_text(described)
    os.chdir(directory)
    os.environ.update(LANGSMITH_TRACING="false", LANGGRAPH_CLI_NO_ANALYTICS="1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threading.Thread(target=announce, args=(ready, port), daemon=True).start()
    options = ["--no-browser", "--no-reload", "--n-jobs-per-worker", "20", "--port", str(port)]
    importlib.import_module("langgraph_cli.cli").cli(["dev", *options])


def announce(ready: Path, port: int) -> None:
    url, pause = f"http://127.0.0.1:{port}", threading.Event()
    while True:
        try:
            asking = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            asking.request("GET", "/ok")
            if asking.getresponse().status == 200:
                break
        except OSError:
            pass
        pause.wait(0.1)
    written = ready.with_suffix(".part")
    written.write_text(json.dumps({"url": url}))
    written.replace(ready)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
