"""`submit`: an action of a script or a home-made agent, put to the plane and waited for."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from watchkeeper.cli.exits import HELD, OK, REFUSED
from watchkeeper.cli.output import fail, print_json, say
from watchkeeper.core.errors import Conflict, Invalid, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.client.agent import AgentRun
    from watchkeeper.wire.decisions import Answer
    from watchkeeper.wire.polling import Asked

_WAIT_SECONDS = 60.0
RUN_TOKEN = "WATCHKEEPER_RUN_TOKEN"  # noqa: S105 - the name of a variable
CREDENTIAL = "WATCHKEEPER_CREDENTIAL"
URL = "WATCHKEEPER_URL"


@click.command(short_help="Ask to use a tool, from a script; wait, poll or be called back.")
@click.argument("tool", required=False)
@click.argument("arguments", metavar="[KEY=TEXT | KEY:=JSON]...", nargs=-1)
@click.option("--wait/--no-wait", default=True, help="Wait for a person; the default.")
@click.option("--callback", metavar="NAME", help="Have this webhook told how it ends.")
@click.option("--key", metavar="TEXT", help="Idempotency key: permitted once however often asked.")
@click.option("--why", metavar="TEXT", help="Your own words, for who decides.")
@click.option("--poll", metavar="REQUEST", help="Only say how an earlier request stands.")
@click.option("--done", metavar="DECISION", help="Only report that what was permitted is done.")
@click.option("--failed", metavar="DECISION", help="Only report that it failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def submit(
    tool: str | None,
    arguments: tuple[str, ...],
    wait: bool,
    callback: str | None,
    key: str | None,
    why: str | None,
    poll: str | None,
    done: str | None,
    failed: str | None,
    as_json: bool,
) -> None:
    """Ask for TOOL; do it only if this ends with 0, then report it with --done.

    Ends with 0 permitted, 1 denied, 8 held (a person has not decided). The agent's run is
    WATCHKEEPER_RUN_TOKEN at WATCHKEEPER_URL; WATCHKEEPER_CREDENTIAL opens a run instead.
    """
    import asyncio

    given = [one is not None for one in (tool, poll, done, failed)]
    if sum(given) != 1:
        fail(Invalid("name a tool, or one of --poll, --done, --failed", where="command line"))
    try:
        if poll is not None:
            _end_asked(asyncio.run(_poll(poll)), as_json)
        if tool is None:
            asyncio.run(_settle(done or failed or "", succeeded=done is not None))
            return
        asked = {
            "name": tool,
            "arguments": read_arguments(arguments),
            "callback": callback,
            "idempotency_key": key,
            "explanation": why,
        }
        answer, opened = asyncio.run(_submit(asked, wait=wait))
    except ValueError as error:
        from watchkeeper.cli.session import as_invalid

        fail(as_invalid(error))
    except WatchkeeperError as error:
        fail(error)
    _end_answer(answer, opened, as_json)


def read_arguments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `key=text` and `key:=json`; raise `Invalid` for anything else, or a key given twice."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        is_json = key.endswith(":")
        key = key.removesuffix(":") if is_json else key
        if not sign or not key or key in found:
            raise Invalid(
                f"not an argument: {pair!r:.60}",
                where="command line",
                remedy="write each once, as key=text or key:=json, e.g. amount:=300",
            )
        try:
            found[key] = json.loads(value) if is_json else value
        except ValueError:
            raise Invalid(f"{key}: what follows := is no JSON", where="command line") from None
    return found


async def _submit(asked: dict[str, Any], *, wait: bool) -> tuple[Answer, str | None]:
    """Return the answer, and the token of the run where this opened it."""
    from watchkeeper.client.agent import AgentClient
    from watchkeeper.wire.agents import OpenRun
    from watchkeeper.wire.decisions import Ask

    ask = Ask.model_validate(asked)
    async with AgentClient(_need(URL), os.environ.get(CREDENTIAL)) as client:
        opened = None
        if os.environ.get(RUN_TOKEN):
            run = _run(client)
        else:
            _need(CREDENTIAL, f"or {RUN_TOKEN}, the token of an open run")
            run = await client.open_run(OpenRun(goal=f"{ask.name}, from a script"))
            opened = run.token
        answer = await run.decide(ask)
        while wait and answer.verdict == "hold":
            answer = await run.decide(ask, wait_seconds=_WAIT_SECONDS)
        return answer, opened


async def _poll(request: str) -> Asked:
    from watchkeeper.client.agent import AgentClient

    async with AgentClient(_need(URL)) as client:
        return await _run(client).asked(request)


async def _settle(decision: str, *, succeeded: bool) -> None:
    from watchkeeper.client.agent import AgentClient
    from watchkeeper.wire.decisions import Outcome

    async with AgentClient(_need(URL)) as client:
        outcome = Outcome(status="succeeded" if succeeded else "failed")
        await _run(client).outcome(decision, outcome)


def _run(client: Any) -> AgentRun:
    from watchkeeper.client.agent import AgentRun

    return AgentRun.of_token(client, _need(RUN_TOKEN))


def _need(name: str, remedy: str | None = None) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Invalid(
            f"the variable {name} is not set",
            where="environment",
            remedy=f"set it, {remedy}" if remedy else "see `watchkeeper help callbacks`",
        )
    return value


def _end_answer(answer: Answer, opened: str | None, as_json: bool) -> NoReturn:
    if answer.replay is not None:
        fail(Conflict(f"{answer.reason}; nothing is to be done", code="replayed"))
    if as_json:
        print_json(answer)
    elif answer.verdict == "permit":
        say(f"permit: {answer.reason}")
        say(f"do it, then: watchkeeper submit --done {answer.decision}")
    elif answer.verdict == "deny":
        say(f"deny: {answer.reason}", err=True)
        say(f"  rule: {answer.rule}", err=True)
        if answer.allowed_instead:
            say(f"  try:  {answer.allowed_instead}", err=True)
    else:
        say(f"hold: {answer.reason}", err=True)
        say(f"  ask:  watchkeeper submit --poll {answer.request}", err=True)
        say("  then: the same command again; it is let through once", err=True)
    if opened is not None and answer.verdict != "deny":
        # on standard error, so that it is in no variable that took the answer
        say(f"export {RUN_TOKEN}={opened}", err=True)
    sys.exit({"permit": OK, "deny": REFUSED, "hold": HELD}[answer.verdict])


def _end_asked(found: Asked, as_json: bool) -> NoReturn:
    if as_json:
        print_json(found)
    else:
        say(f"{found.state}: {found.text}")
    sys.exit({"permit": OK, "deny": REFUSED, "hold": HELD}[found.verdict])
