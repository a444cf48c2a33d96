"""May the provider run the tools that a model call brings?

A tool that runs at the provider acts past the plane, so each is an action: asked about as a tool,
by the name `hosted.KIND` or `hosted.mcp.LABEL`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.contract import may_use
from watchkeeper.decide.gates.identity import identity_gate
from watchkeeper.decide.gates.kill import HOSTED_SERVER, kill_gate, upstream_of
from watchkeeper.decide.gates.obligation import unfulfilled
from watchkeeper.decide.gates.staged import ask_staged
from watchkeeper.decide.model import Action, Progress, Ruling, deny
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import Duty

HOSTED = "hosted_tools"
"""The argument of a model call that names what the provider would run: a list of objects with
`tool` and, for tool servers, `server_url`."""
HOSTED_TOOL = "hosted."
"""How the names of tools begin that run at providers of models."""
_MOST = 64
_NAME = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class _Hosted:
    name: str
    server_url: str | None


def hosted_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """Each tool that the model's provider would run is permitted, or taken out of the call."""
    if action.kind != "model" or HOSTED not in action.arguments:
        return None
    wanted = list(_read(action.arguments[HOSTED]))
    if not 0 < len(wanted) <= _MOST:
        return deny(
            "gateway/hosted-tools",
            f"{HOSTED} names no tool, or more than {_MOST}",
            "a call with fewer tools of the provider",
        )
    agent = facts.catalogue.agents[facts.run.agent]
    routing = agent.contract.model_routing
    strips = routing is not None and routing.hosted_tools == "strip"
    left_out = tuple(one.name for one in wanted if strips and one.name not in agent.tools)
    for one in wanted:
        refused = None if one.name in left_out else _permit(one, facts, progress)
        if refused is not None:
            return refused
    if not left_out:
        return None
    rule = f"contract/{facts.run.agent}/hosted_tools"
    progress.strips = (Duty(kind="strip", policy=rule, tools=left_out),)
    return unfulfilled(action, progress.strips)


def _read(said: Any) -> Iterator[_Hosted]:
    """Yield what a call names, each once; nothing for what can't be read."""
    if not isinstance(said, list) or len(said) > _MOST:
        return
    if not all(isinstance(one, Mapping) and _is_name(one.get("tool")) for one in said):
        return
    for one in said:
        url = one.get("server_url")
        yield _Hosted(one["tool"], url if isinstance(url, str) else None)


def _is_name(said: object) -> bool:
    """Whether a document could name it so: it is recorded and shown."""
    return isinstance(said, str) and _NAME.fullmatch(said) is not None


def _permit(one: _Hosted, facts: Facts, progress: Progress) -> Ruling | None:
    """Ask whether a tool may run at the provider; note whose approval that needs."""
    agent = facts.catalogue.agents[facts.run.agent]
    as_tool = Action("tool", one.name, {})
    refused = (
        identity_gate(as_tool, facts, Progress())
        or kill_gate(as_tool, facts, Progress())
        or may_use(one.name, facts.catalogue, agent, Progress(), hosted=True)
        or _check_server(one, facts)
    )
    if refused is not None:
        return replace(refused, reason=f"{_would_run(one)}: {refused.reason}")
    assert progress.question is not None, "the policies are asked first"
    question = replace(
        progress.question,
        action="use_tool",
        resource_kind="Tool",
        resource=one.name,
        amount_micros=0,
        input_tokens=0,
        output_tokens=0,
    )
    answer = facts.catalogue.engine.ask(question)
    if facts.catalogue.shadows:
        progress.would += tuple(ask_staged(facts.catalogue, question, answer))
    if answer.verdict == "deny":
        return deny(f"policy/{answer.policy}", f"{_would_run(one)}: {answer.message}", None)
    if answer.duties:
        return deny(
            f"policy/{answer.duties[0].policy}",
            f"{_would_run(one)}, where what the policy asks for can't be done",
            "a tool that is called through the plane",
        )
    progress.hosted += (one.name,)
    progress.hosted_asks += answer.asks
    return None


def _check_server(one: _Hosted, facts: Facts) -> Ruling | None:
    """A tool server is where the upstream document says that it is, and not somewhere else."""
    if not one.name.startswith(HOSTED_SERVER):
        return None
    name = upstream_of(facts.catalogue, one.name)
    upstream = facts.catalogue.upstreams.get(name) if name is not None else None
    if upstream is not None and upstream.url and _same(upstream.url, one.server_url):
        return None
    return deny(
        f"tool/{one.name}/server_url",
        f"its server_url is not the URL of upstream {name!r}"
        if upstream
        else f"no upstream document {name!r} says where the server is",
        f"the URL of upstream {name!r} as its document has it",
    )


def _same(url: str, other: str | None) -> bool:
    return other is not None and url.rstrip("/") == other.rstrip("/")


def _would_run(one: _Hosted) -> str:
    return f"tool {one.name!r} would run at the provider"
