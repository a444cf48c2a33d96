"""`enroll` an agent's workload or framework; what its `hook` is."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.frameworks import FRAMEWORKS, Place, Setup
from watchkeeper.cli.output import fail, print_json, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.client.enrolments import KeptEnrolment

FRAMEWORK = click.option(
    "--framework",
    type=click.Choice(list(FRAMEWORKS)),
    metavar="NAME",
    help="What the agent is built with: openai-agents, pydantic-ai, langgraph, llamaindex, adk, "
    "crewai, claude-code, codex, gemini, cursor or curl.",
)
FILE = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="Its settings file."
)
_RENEW_SECONDS = 7 * 86_400
"""An enrolment that ends within this time is made anew."""


@click.command()
@click.argument("agent")
@click.option(
    "--ttl",
    type=click.IntRange(30, 86_400),
    metavar="SECONDS",
    default=900,
    show_default=True,
    help="How long the one-time secret is good.",
)
@FRAMEWORK
@FILE
@click.option("--write", is_flag=True, help="Merge the hooks into its settings file.")
@click.option("--show-secret", is_flag=True, help="With --framework: print the credential too.")
@speaks()
def enroll(
    session: Session,
    agent: str,
    ttl: int,
    framework: str | None,
    file: Path | None,
    write: bool,
    show_secret: bool,
) -> None:
    """Let an agent in: print what its workload must set.

    Without --framework a one-time secret; with it, the agent is enrolled in a file of this machine,
    and all that the framework is set to is printed.
    """
    if framework is not None:
        _enrol_framework(session, agent, framework, file, write=write, show_secret=show_secret)
        return
    if write or show_secret or file is not None:
        fail(Invalid("--write, --file and --show-secret are of --framework"))
    from watchkeeper.wire.agents import Enrol

    body = Enrol.model_construct(agent=agent, ttl_seconds=ttl)
    found = session.call(lambda plane: plane.enrol(body))
    if session.json:
        print_json(found)
        return
    say(f"# {found.agent}: set these for its workload before {at(found.expires_at)};")
    say("# the secret works once. How to connect: `watchkeeper help agents`")
    for name, value in found.settings.items():
        say(f"export {name}={value}")
    say("# with a key pair instead of a shared secret: `watchkeeper identity join FILE`;")
    say("# see `watchkeeper help identity`")


def _enrol_framework(
    session: Session,
    agent: str,
    framework: str,
    file: Path | None,
    *,
    write: bool,
    show_secret: bool,
) -> None:
    from watchkeeper.client.enrolments import enrolment_path

    try:
        path = enrolment_path(agent, session.state)
        kept = session.call(lambda plane: enrolled(plane, agent, path, session.state))
        setup = FRAMEWORKS[framework](Place(kept.url, path, kept.gateway))
        undo = _write(setup, file) if write else None
    except WatchkeeperError as error:
        fail(error)
    if session.json:
        _print_json(agent, framework, path, setup, file, undo, kept if show_secret else None)
        return
    say(f"# {agent} is enrolled until {at(kept.expires_at)}: {path}")
    if show_secret:
        say(f"# its credential: {kept.credential}")
    _print_setup(setup, file, undo)
    for note in setup.notes:
        say(f"# {note}")
    say(f"# then see that it holds: watchkeeper doctor {agent} --framework {framework}")


async def enrolled(plane: PlaneClient, agent: str, path: Path, state: str | None) -> KeptEnrolment:
    """Return the agent's enrolment on this machine, made if there is none that lasts a while."""
    from watchkeeper.client.agent import AgentClient
    from watchkeeper.client.enrolments import KeptEnrolment, keep_enrolment, read_enrolment
    from watchkeeper.core.clock import MICROSECONDS, SystemClock
    from watchkeeper.wire.agents import Enrol

    # a new secret says where the plane answers, and that the agent is one of its own
    asked = Enrol.model_construct(agent=agent, ttl_seconds=60)
    offered = await plane.enrol(asked)
    url = offered.settings["WATCHKEEPER_URL"].rstrip("/")
    known = read_enrolment(path)
    lasts = SystemClock().now() + _RENEW_SECONDS * MICROSECONDS
    if known is None or known.url != url or known.expires_at < lasts or not await _counts(known):
        async with AgentClient(url) as client:
            credential = await client.redeem(offered.secret)
        proof = credential.credential or ""
        # no secret, and nobody can guess it
        mark = hashlib.sha256(f"gateway {proof}".encode()).hexdigest()[:12]
        gateway = known.gateway if known is not None else f"watchkeeper-{mark}"
        kept = KeptEnrolment(agent, url, proof, credential.expires_at, gateway)
    else:
        kept = known
    kept = replace(kept, plane_uid=_user_of(url))
    if kept != known:
        keep_enrolment(kept, state)
    return kept


def _user_of(url: str) -> int | None:
    """Return the user of the plane that was just spoken to, where it is on this machine."""
    from watchkeeper.cli import hook

    port = hook.loopback_port(url)
    users = hook.listeners(port) if port is not None else None
    return next(iter(users)) if users is not None and len(users) == 1 else None


async def _counts(known: KeptEnrolment) -> bool:
    """Tell whether the plane still takes a credential."""
    from watchkeeper.client.agent import AgentClient
    from watchkeeper.core.errors import Unauthenticated
    from watchkeeper.wire.agents import RunOpened

    async with AgentClient(known.url, known.credential) as client:
        try:
            path = "/v1/runs/run_none/token"
            await client.post(RunOpened, path, None, token=known.credential)
        except Unauthenticated:
            return False
        except WatchkeeperError:
            pass
    return True


def settings_file(setup: Setup, file: Path | None) -> Path:
    """Return the settings file of a framework; raise `Invalid` if it has none."""
    if setup.file is None:
        raise Invalid("this framework has no settings file: what it is set to is printed")
    return file if file is not None else Path.home() / setup.file


def _write(setup: Setup, file: Path | None) -> str:
    from watchkeeper.cli.settings_files import merge, read_settings, write_settings

    path = settings_file(setup, file)
    return write_settings(path, merge(read_settings(path), setup.settings, path))


def _print_setup(setup: Setup, file: Path | None, undo: str | None) -> None:
    for name, value in setup.environment.items():
        say(f"export {name}={_for_shell(value)}")
    if setup.file is not None:
        path = settings_file(setup, file)
        if undo is not None:
            say(f"# written to {path}; to undo that: {undo}")
        else:
            say(f"# {path} (--write merges it in)")
            say(json.dumps(setup.settings, indent=2))
    if setup.code:
        say(f"# {setup.where}:")
        say(setup.code.rstrip("\n"))


def _for_shell(value: str) -> str:
    return f'"{value}"' if value.startswith("$") else shlex.quote(value)


def _print_json(
    agent: str,
    framework: str,
    path: Path,
    setup: Setup,
    file: Path | None,
    undo: str | None,
    shown: KeptEnrolment | None,
) -> None:
    told: Mapping[str, Any] = {
        "agent": agent,
        "framework": framework,
        "enrolment": str(path),
        "credential": shown.credential if shown else None,
        "environment": dict(setup.environment),
        "file": str(settings_file(setup, file)) if setup.file else None,
        "settings": setup.settings,
        "code": setup.code,
        "notes": list(setup.notes),
        "undo": undo,
    }
    click.echo(json.dumps(told, indent=2))


@click.command(
    "hook",
    short_help="What a coding agent runs before each tool.",
    context_settings={"ignore_unknown_options": True},
)
def hook_help() -> None:
    """Ask the plane whether a coding agent's tool may run; blocks (exit 2) on any doubt.

    \b
    watchkeeper hook claude|codex|gemini|cursor   the hook's JSON on its input
    watchkeeper hook token|header                 a run's token, for the gateways
    watchkeeper hook resume SESSION               what waits in a session

    \b
    --enrolment FILE    where the plane is and the agent's credential; else the
                        environment's WATCHKEEPER_URL and WATCHKEEPER_CREDENTIAL
    --patience SECONDS  how long a held call is waited for at most (40)
    --gateway NAME      the MCP server that is the plane's own gateway
    --session NAME      of token and header: the same run each time

    `watchkeeper enroll AGENT --framework claude-code` prints the settings that run it.
    """
    from watchkeeper.cli import hook

    hook.main([])
