"""`events`: what happened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import fail, print_json, say, say_line
from watchkeeper.cli.session import FILTER, LIMIT, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.wire.plane import EventRow


@click.command()
@click.option("--follow", is_flag=True, help="Go on with new entries as they happen.")
@click.option("--after", type=int, metavar="SEQ", help="Oldest first, from after this sequence.")
@click.option("--before", type=int, metavar="SEQ", help="Newest first, from before this one.")
@click.option("--type", "type_", metavar="TYPE", help="e.g. decision.denied, or `request.`")
@click.option("--agent", metavar="NAME", help="Only of this agent.")
@click.option("--run", metavar="ID", help="Only of this run.")
@click.option("--request", metavar="ID", help="Only of this request.")
@FILTER
@LIMIT
@speaks()
def events(
    session: Session,
    follow: bool,
    after: int | None,
    before: int | None,
    type_: str | None,
    agent: str | None,
    run: str | None,
    request: str | None,
    filter_: str | None,
    limit: int,
) -> None:
    """List ledger entries; with --follow, live.

    With --json --follow each entry is one line of JSON.
    """
    page = session.call(
        lambda plane: plane.events(
            after=after,
            before=before,
            type=type_,
            agent=agent,
            run=run,
            request=request,
            filter=filter_,
            limit=limit,
        )
    )
    rows = page.rows if after is not None else tuple(reversed(page.rows))
    if session.json and not follow:
        print_json(page)
        return
    for row in rows:
        _print(row, session.json)
    if not follow:
        if page.next is not None:
            say(f"more: {'--after' if after is not None else '--before'} {page.next}", err=True)
        return

    def wanted(row: EventRow) -> bool:
        typed = (
            type_ is None or row.type == type_ or (type_[-1:] == "." and row.type.startswith(type_))
        )
        named = all(
            value is None or getattr(row, name) == value
            for name, value in (("agent", agent), ("run", run), ("request", request))
        )
        found = filter_ is None or filter_.casefold() in f"{row.type} {row.text}".casefold()
        return typed and named and found

    _follow(session, max([page.sequence, *(row.sequence for row in rows)]), wanted)


def _follow(session: Session, after: int, wanted: object) -> None:
    import asyncio

    from watchkeeper.client.feed import Connection, Events, Feed, Resync

    assert callable(wanted)

    async def run() -> None:
        feed = Feed(session.address(), after=after)
        lost = False
        async for item in feed.follow():
            if isinstance(item, Events):
                for row in item.events:
                    if wanted(row):
                        _print(row, session.json)
            elif isinstance(item, Resync):
                say("# entries were missed; read them with `watchkeeper events`", err=True)
            elif isinstance(item, Connection):
                if item.state == "refused" and item.error is not None:
                    raise item.error
                if item.state == "lost" and not lost:
                    say("# the plane does not answer; trying again", err=True)
                lost = item.state == "lost"

    try:
        asyncio.run(run())
    except WatchkeeperError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(0)


def _print(row: EventRow, as_json: bool) -> None:
    if as_json:
        print_json(row, indent=None)
    else:
        say_line(f"{row.sequence:>7}  {at(row.at)}  {row.type:<20}  {row.text}")
