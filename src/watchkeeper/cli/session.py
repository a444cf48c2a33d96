"""One command's conversation with a plane."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from watchkeeper.cli.output import fail, say
from watchkeeper.core.errors import Invalid, Unavailable, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.client.address import Address
    from watchkeeper.client.api import PlaneClient

T = TypeVar("T")
Command = Callable[..., Any]

_PATIENCE_SECONDS = 2
"""How long a plane may be silent before another way is told of."""


@dataclass(frozen=True)
class Session:
    """Which plane a command speaks to, and whether it prints JSON."""

    connect: str | None
    state: str | None
    json: bool = False

    def address(self) -> Address:
        """Return where the plane answers; raise `Unavailable` if none runs here."""
        from watchkeeper.client.address import Address
        from watchkeeper.client.local import require_plane

        if self.connect:
            return Address(url=self.connect, token=self._token(self.connect))
        return Address(socket=require_plane(self.state).socket)

    def _token(self, url: str) -> str | None:
        """Return the environment's token, or the one that the last login there gave."""
        from watchkeeper.client.logins import read_login

        kept = read_login(url, self.state)
        return os.environ.get("WATCHKEEPER_TOKEN") or (kept.token if kept else None) or None

    def call(
        self,
        work: Callable[[PlaneClient], Awaitable[T]],
        *,
        token: str | None = None,
        way_out: str = "",
    ) -> T:
        """Run `work` with a client and return its value; print an error and end otherwise.

        `token` stands for the one that would be used; empty: none. `way_out`: what helps besides
        where no plane answers.
        """
        import asyncio

        from watchkeeper.client.api import PlaneClient

        async def run() -> T:
            address = self.address()
            if token is not None:
                address = replace(address, token=token or None)
            async with PlaneClient(address) as plane:
                asked = asyncio.ensure_future(work(plane))
                await asyncio.wait({asked}, timeout=_PATIENCE_SECONDS if way_out else None)
                if not asked.done():
                    say(f"no answer from the plane yet; {way_out}", err=True)
                return await asked

        try:
            return asyncio.run(run())
        except WatchkeeperError as error:
            if way_out and isinstance(error, Unavailable):
                error.remedy = f"{error.remedy}; {way_out}" if error.remedy else way_out
            fail(error)
        except KeyboardInterrupt:
            raise click.Abort from None


def ask_quietly(context: click.Context, work: Callable[[PlaneClient], Awaitable[T]]) -> T | None:
    """Run `work` for a shell that completes a word; None where no plane answers soon."""
    import asyncio

    from watchkeeper.client.api import PlaneClient

    above = context.find_root().params

    async def run() -> T:
        address = Session(above.get("connect"), above.get("state")).address()
        async with asyncio.timeout(_PATIENCE_SECONDS), PlaneClient(address) as plane:
            return await work(plane)

    try:
        return asyncio.run(run())
    except (WatchkeeperError, TimeoutError):
        return None


def read_text(place: Path) -> str:
    """Return the words of a file that somebody named; end the command where it holds none."""
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(Invalid(f"cannot be read: {error}", where=str(place)))


def as_invalid(error: ValueError) -> Invalid:
    """Say what a wire model refused; anything else is a defect and is raised as it is."""
    from pydantic import ValidationError

    from watchkeeper.wire.base import problem_words

    if not isinstance(error, ValidationError):
        raise error
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    said = problem_words(first["msg"])
    return Invalid(f"{field}: {said}" if field else said)


def speaks(*, json: bool = True) -> Callable[[Command], Command]:
    """Give a command its session: --state, --connect and, where it shows things, --json."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            context = click.get_current_context()
            above = context.find_root().params
            session = Session(
                connect=kwargs.pop("connect") or above.get("connect"),
                state=kwargs.pop("state") or above.get("state"),
                json=kwargs.pop("as_json", False),
            )
            try:
                return command(session, *args, **kwargs)
            except ValueError as error:
                fail(as_invalid(error))

        wrapped: Any = run
        if json:
            wrapped = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(wrapped)
        wrapped = click.option("--connect", metavar="URL", help="A remote plane.")(wrapped)
        wrapped = click.option("--state", metavar="DIR", help="State directory.")(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return decorate


DIGEST = click.option("--digest", metavar="TEXT", help="Of what you read; as `show` prints it.")
REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the ledger.")
LIMIT = click.option(
    "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Rows at most."
)
AFTER = click.option("--after", metavar="KEY", help="Go on after this key.")
FILTER = click.option("--filter", "filter_", metavar="TEXT", help="Only rows with this text.")
