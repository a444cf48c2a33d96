"""`runtimes`: where agents' work runs, what runs there, and stopping or adopting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import duration_text

if TYPE_CHECKING:
    from watchkeeper.wire.runtimes import RemoteRunRow, RemoteStop, RuntimeRow


@click.group(cls=NamedGroup)
def runtimes() -> None:
    """See what runs in runtimes; stop, pause, resume, adopt or start it."""


@runtimes.command("list")
@speaks()
def list_(session: Session) -> None:
    """List runtimes and how they do."""
    page = session.call(lambda plane: plane.runtimes())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No `runtime` document is in force: see `watchkeeper help runtimes`.")
        return
    print_table(
        ("RUNTIME", "KIND", "HEALTH", "RUNNING", "WAITING", "ROGUE", "AGE", "CANNOT"),
        [
            (
                row.runtime,
                row.kind,
                row.health,
                row.running,
                row.waiting,
                row.rogue,
                _age(row),
                ", ".join(row.cannot) or "-",
            )
            for row in page.rows
        ],
    )
    for row in page.rows:
        if row.problem:
            say_line(f"{row.runtime}: {row.problem}")
        if not row.complete:
            say_line(f"{row.runtime}: it has more runs than are listed here")


@runtimes.command()
@click.argument("name")
@speaks()
def show(session: Session, name: str) -> None:
    """Show how the runtime NAME does, and what it can."""
    row = session.call(lambda plane: plane.runtime(name))
    if session.json:
        print_json(row)
        return
    say(f"{row.runtime}: {row.health}")
    if row.problem:
        say_line(row.problem)
    latency = f"{row.latency_ms:,.0f} ms" if row.latency_ms is not None else None
    print_facts(
        [
            ("kind", row.kind),
            ("url", row.url),
            ("version", row.version),
            ("owner", row.owner),
            ("answers in", latency),
            ("last answer", at(row.seen_at)),
            ("its runs are", f"as of {_age(row)} ago" if row.age_seconds is not None else None),
            ("can", ", ".join(row.can) or "nothing"),
            ("cannot", ", ".join(row.cannot) or None),
            ("runs", f"{row.running} running, {row.waiting} waiting, {row.rogue} rogue"),
        ]
    )
    for one in row.agents:
        named = one.name if one.name == one.id else f"{one.name} ({one.id})"
        say_line(f"  {named}: {one.agent or 'not in the document, so its runs are rogue'}")


@runtimes.command()
@click.argument("name")
@click.option("--rogue", is_flag=True, help="Only rogue ones: no run here covers them.")
@click.option("--all", "ended", is_flag=True, help="Those too that ended within a day.")
@AFTER
@LIMIT
@speaks()
def runs(
    session: Session, name: str, rogue: bool, ended: bool, after: str | None, limit: int
) -> None:
    """List what runs in the runtime NAME."""
    page = session.call(
        lambda plane: plane.remote_runs(
            name,
            standing="rogue" if rogue else None,
            state="all" if ended else "live",
            after=after,
            limit=limit,
        )
    )
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("Nothing runs there." if not rogue else "Nothing runs there that is not covered.")
        return
    print_table(
        ("RUN", "STANDING", "STATE", "AGENT", "COVERED BY", "STARTED", "REQUEST"),
        [
            (
                row.id,
                row.standing,
                "lost" if row.lost_at is not None else row.state,
                row.agent or row.offered or "-",
                row.run or "-",
                at(row.started_at),
                row.request or "-",
            )
            for row in page.rows
        ],
    )
    for row in page.rows:
        if row.why is not None and row.ended_at is None:
            say_line(f"{row.id}: {row.why}")
    if page.next is not None:
        say(f"more: --after {page.next}", err=True)


@runtimes.command()
@click.argument("name")
@click.argument("run")
@click.option("--agent", required=True, metavar="AGENT", help="Whose run it is from now on.")
@REASON
@speaks()
def adopt(session: Session, name: str, run: str, agent: str, reason: str) -> None:
    """Take over RUN in the runtime NAME as an agent's."""
    from watchkeeper.wire.runtimes import Adopt

    body = Adopt(agent=agent, reason=reason)
    row = session.call(lambda plane: plane.adopt_run(name, run, body))
    if session.json:
        print_json(row)
    else:
        _adopted(row)


@runtimes.command()
@click.argument("name")
@click.argument("run")
@click.option("--grace", is_flag=True, help="Let a supervised process end by itself first.")
@REASON
@speaks()
def stop(session: Session, name: str, run: str, grace: bool, reason: str) -> None:
    """Stop RUN in the runtime NAME."""
    from watchkeeper.wire.runtimes import StopRemote

    body = StopRemote(reason=reason, now=not grace)
    _told(session, run, "stop", session.call(lambda plane: plane.stop_remote(name, run, body)))


@runtimes.command()
@click.argument("name")
@click.argument("run")
@REASON
@speaks()
def pause(session: Session, name: str, run: str, reason: str) -> None:
    """Hold RUN in the runtime NAME where it is."""
    from watchkeeper.wire.runtimes import TellRemote

    body = TellRemote(reason=reason)
    _told(session, run, "pause", session.call(lambda plane: plane.pause_remote(name, run, body)))


@runtimes.command()
@click.argument("name")
@click.argument("run")
@REASON
@speaks()
def resume(session: Session, name: str, run: str, reason: str) -> None:
    """Let the paused RUN in the runtime NAME go on."""
    from watchkeeper.wire.runtimes import TellRemote

    body = TellRemote(reason=reason)
    _told(session, run, "resume", session.call(lambda plane: plane.resume_remote(name, run, body)))


@runtimes.command()
@click.argument("name")
@REASON
@speaks()
def start(session: Session, name: str, reason: str) -> None:
    """Start the supervised process NAME, which was stopped."""
    from watchkeeper.wire.runtimes import TellRemote

    body = TellRemote(reason=reason)
    row = session.call(lambda plane: plane.start_runtime(name, body))
    if session.json:
        print_json(row)
    else:
        say_line(f"Started: {row.runtime} ({row.running} running).")


_WORDS = {"stop": "Stopped", "pause": "Paused", "resume": "Resumed"}


def _told(session: Session, run: str, what: str, came: RemoteStop) -> None:
    """Print what came of it; what is not so ends the command with a code of its own."""
    if session.json:
        print_json(came)
    else:
        words = {
            "done": f"{_WORDS[what]}: {run}",
            "already done": f"Nothing to do: {run}",
            "not supported": f"Not {_WORDS[what].lower()}: {run}",
            "unconfirmed": f"Told, and not confirmed: {run}",
        }
        say_line(f"{words[came.result]} ({came.detail}).")
    if came.result not in ("done", "already done"):
        click.get_current_context().exit(REFUSED)


def _adopted(row: RemoteRunRow) -> None:
    say_line(f"Adopted: {row.id} is run {row.run} of {row.agent}.")
    say_line(f'  stop it:  watchkeeper kill {row.run} --reason "…"')


def _age(row: RuntimeRow) -> str:
    return "-" if row.age_seconds is None else duration_text(row.age_seconds * MICROSECONDS)
