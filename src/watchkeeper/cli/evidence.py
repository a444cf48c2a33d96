"""`evidence`: what happened and the proof of it, in one file that verifies without Watchkeeper."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.core.evidence.findings import Findings

_SHOWN_BYTES = 1 << 20
KEY = click.option("--key", "keys", multiple=True, metavar="KEY", help="The log's, or its file.")
WITNESS = click.option("--witness", "witnesses", multiple=True, metavar="KEY", help="A witness's.")
SIGNERS = click.option("--signers", metavar="FILE", help="allowed_signers that you have.")


@click.group(cls=NamedGroup)
def evidence() -> None:
    """Take away what happened with the proof of it, and verify that anywhere."""


@evidence.command(short_help="Write a bundle.")
@click.option("--run", metavar="ID", help="All entries of a run.")
@click.option("--request", metavar="ID", help="A request, and its run until it ended.")
@click.option("--incident", metavar="ID", help="An incident's timeline.")
@click.option("--period", metavar="FROM..TO", help="e.g. 2026-11-01..2026-12-01, in UTC.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where; it must not be there.")
@speaks(json=False)
def export(session: Session, period: str | None, output: str, **named: str | None) -> None:
    """Write the evidence of a run, a request, an incident or a period to FILE.

    It is verified against the plane's own key then. An auditor has to have that key from
    elsewhere: `watchkeeper audit keys`.
    """
    from watchkeeper.client.calls import path_part

    wanted = [(kind, name) for kind, name in (*named.items(), ("period", period)) if name]
    if len(wanted) != 1:
        fail(Invalid("name one of --run, --request, --incident and --period"))
    ((kind, name),) = wanted
    try:
        query = _period(name) if kind == "period" else {}
    except Invalid as error:
        fail(error)
    path = kind if query else f"{kind}s/{path_part(name)}"
    size, key = session.call(lambda plane: _write(plane, path, query, Path(output)))
    found = _verify(output, (key,), (), None)
    _show(found, as_json=False)
    say(f"Written to {output}, {size:,} bytes.")
    if found.failed:
        sys.exit(REFUSED)


@evidence.command(short_help="Verify a bundle, offline.")
@click.argument("bundle", metavar="FILE")
@KEY
@WITNESS
@SIGNERS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    bundle: str,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    signers: str | None,
    as_json: bool,
) -> None:
    """Verify a bundle without any plane; exit 1 if it does not hold.

    Without --key only that it agrees with itself is proven. This is what the bundle's own
    verify.py does with `python3 -I verify.py FILE --key KEY`.
    """
    verify_offline(bundle, keys, witnesses, signers, as_json=as_json)


@evidence.command(short_help="Print verify.py.")
def verifier() -> None:
    """Print the program that verifies bundles, as every bundle holds it: one file of Python."""
    from watchkeeper.core.evidence.single import single_file

    click.echo(single_file().decode(), nl=False)


def verify_offline(
    bundle: str,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...] = (),
    signers: str | None = None,
    *,
    as_json: bool,
) -> None:
    """Verify a bundle and print what was found; end with 1 if it does not hold."""
    found = _verify(bundle, keys, witnesses, signers)
    _show(found, as_json=as_json)
    if found.failed:
        sys.exit(REFUSED)


def _verify(
    bundle: str, keys: tuple[str, ...], witnesses: tuple[str, ...], signers: str | None
) -> Findings:
    from watchkeeper.core.evidence.check import verify as check
    from watchkeeper.core.evidence.command import key_in, read_signers
    from watchkeeper.core.evidence.signatures import Broken

    try:
        given, known = (tuple(map(key_in, ones)) for ones in (keys, witnesses))
        found = check(bundle, given, known, read_signers(signers), _progress())
    except OSError as error:
        fail(Invalid(f"cannot be read: {error.strerror}", where=str(error.filename)))
    except (Broken, ValueError) as error:
        fail(Invalid(f"not a key of a log: {error}", remedy="see `watchkeeper audit keys`"))
    return found


def _progress() -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() and total > _SHOWN_BYTES:
            end = "\r\033[K" if done == total else ""
            click.echo(f"\r{100 * done // total:3} %  of the entries{end}", nl=False, err=True)

    return show


async def _write(
    plane: PlaneClient, path: str, query: dict[str, str], place: Path
) -> tuple[int, str]:
    """Write a bundle as it comes; return its size and the key that signs the plane's log."""
    from watchkeeper.client.saving import save

    shown = 0

    def told(size: int) -> None:
        nonlocal shown
        if sys.stderr.isatty() and size > _SHOWN_BYTES:
            shown = size
            click.echo(f"\r{size / 1e6:,.0f} MB", nl=False, err=True)

    size = await save(plane.evidence(path, **query), place, told)
    if shown:
        click.echo("\r\033[K", nl=False, err=True)
    return size, (await plane.log_keys()).rows[0].key


_PERIOD = "e.g. 2026-11-01..2026-12-01: in UTC, the end is not part of it"


def _period(text: str) -> dict[str, str]:
    begins, parted, ends = text.partition("..")
    if not parted:
        raise Invalid("a period reads FROM..TO", where="--period", remedy=_PERIOD)
    first, end = _time(begins), _time(ends)
    if int(first) >= int(end):
        raise Invalid("a period begins before it ends", where="--period", remedy=_PERIOD)
    return {"begins": first, "ends": end}


def _time(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"not a time: {text!r:.40}", where="--period", remedy="e.g. 2026-11-01 or "
                      "2026-11-01T08:00Z") from None  # fmt: skip
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return str(int(found.timestamp()) * MICROSECONDS)


def _show(found: Findings, *, as_json: bool) -> None:
    from watchkeeper.core.evidence.findings import written

    if as_json:
        click.echo(json.dumps({"ok": not found.failed, **vars(found)}, indent=2))
    else:
        click.echo(written(found), nl=False)
