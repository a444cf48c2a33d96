"""`people allowed-signers`, `requests signatures`: what anybody verifies with stock OpenSSH."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import fail, print_json, print_table, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.people import Signers
    from watchkeeper.wire.requests import RequestDetail
    from watchkeeper.wire.signed_votes import SignedVote

_CHECK_SECONDS = 10


@click.command("allowed-signers", short_help="Print whose signatures count, for ssh-keygen.")
@click.option("--person", metavar="NAME", help="Only this person's keys.")
@speaks()
def allowed_signers(session: Session, person: str | None) -> None:
    """Print an allowed_signers file: the keys that votes are signed with, and when each counted.

    As ssh-keygen(1) reads it, from OpenSSH 9.1 on.
    """
    from watchkeeper.wire.signed_votes import allowed_signers as listed

    found = session.call(lambda plane: plane.signers(person=person))
    if session.json:
        print_json(found)
    else:
        click.echo(listed(found.rows), nl=False)


@click.command(short_help="Write signed votes as files for ssh-keygen.")
@click.argument("request")
@click.option("--to", "directory", required=True, metavar="DIR", help="Where; it is made.")
@speaks()
def signatures(session: Session, request: str, directory: str) -> None:
    """Write a request's signed votes: what was signed, the signatures, and whose keys count.

    The README beside them has the command that verifies each with stock OpenSSH. Each is checked
    here too, with that command; one that does not hold ends this with an error.
    """
    from watchkeeper.wire.signed_votes import signed_votes

    found, signers = session.call(lambda plane: _read(plane, request))
    votes = signed_votes(found, signers)
    if not votes:
        fail(NotFound(f"no vote on {request} is signed"))
    place = Path(directory)
    try:
        _write(place, found, signers, votes)
        held = {vote.name: _verify(place, vote) for vote in votes}
    except OSError as error:
        fail(Invalid(f"cannot be written: {error.strerror}", where=str(error.filename or place)))
    if session.json:
        print_json(found)
    else:
        print_table(
            ("VOTE", "BY", "KEY", "STOCK SSH-KEYGEN SAYS"),
            [(f"{v.name}.txt", v.person, v.key, held[v.name] or "good") for v in votes],
        )
        say(f"Written to {place}; see {place / 'README'}.")
    if bad := [name for name, complaint in held.items() if complaint]:
        fail(Conflict(f"not every signature holds: {', '.join(bad)}", where=str(place)))


async def _read(plane: PlaneClient, request: str) -> tuple[RequestDetail, Signers]:
    return await plane.request(request), await plane.signers()


def _write(
    place: Path, found: RequestDetail, signers: Signers, votes: tuple[SignedVote, ...]
) -> None:
    from watchkeeper.wire.signed_votes import ALLOWED, allowed_signers

    place.mkdir(parents=True, exist_ok=True)
    people = {vote.person for vote in votes}
    keys = allowed_signers(row for row in signers.rows if row.person in people)
    (place / ALLOWED).write_text(keys, encoding="utf-8")
    (place / "request.json").write_text(found.model_dump_json(indent=2), encoding="utf-8")
    for vote in votes:
        (place / f"{vote.name}.txt").write_bytes(vote.message)
        (place / f"{vote.name}.txt.sig").write_text(vote.signature, encoding="utf-8")
    lines = "\n".join(vote.line for vote in votes)
    (place / "README").write_text(
        f"Signed votes on {found.request}, as plane {signers.plane} keeps them. Verify each,\n"
        f"in this directory, with OpenSSH 9.1 or newer:\n\n{lines}\n\n"
        f"{ALLOWED} says whose keys counted when: compare it with one that you had from\n"
        "elsewhere (`watchkeeper people allowed-signers`). request.json is what was decided, as\n"
        "the plane shows it today.\n",
        encoding="utf-8",
    )


def _verify(place: Path, vote: SignedVote) -> str:
    """Return what is wrong with a signature as stock ssh-keygen says it; empty if it holds."""
    try:
        done = subprocess.run(
            vote.command,
            cwd=place,
            input=vote.message,
            capture_output=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return "not checked: there is no ssh-keygen here"
    except subprocess.TimeoutExpired:
        return "not checked: ssh-keygen does not answer"
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else "it does not hold")
