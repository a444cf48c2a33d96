"""`deliveries`: what others are told, and what became of it; `webhooks`: keys and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.fleet import print_page
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, say
from watchkeeper.cli.session import AFTER, LIMIT, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.wire.deliveries import DeliveryRow

_SECRET_BYTES = 32


@click.group(cls=NamedGroup)
def deliveries() -> None:
    """List callbacks and notices, send them again, give them up."""


@deliveries.command("list", short_help="List callbacks and notices, newest first.")
@click.option("--in", "which", metavar="STATE", help="E.g. dead, or dead,unknown.")
@click.option("--target", metavar="NAME", help="Only of this webhook or channel.")
@click.option("--request", metavar="REQUEST", help="Only of this request.")
@AFTER
@LIMIT
@speaks()
def list_(
    session: Session,
    which: str | None,
    target: str | None,
    request: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List callbacks and notices, newest first.

    pending, sending, sent, dead (given up), unknown (it may have arrived) or discarded.
    """
    page = session.call(
        lambda plane: plane.deliveries(
            state=which, target=target, request=request, after=after, limit=limit
        )
    )
    print_page(
        session,
        page,
        ("STATE", "TO", "ATTEMPTS", "NEXT", "LAST", "REQUEST", "DELIVERY"),
        lambda row: (
            row.state,
            f"{row.recipient} by {row.target}" if row.recipient else row.target,
            row.attempts,
            at(row.next_at) if row.next_at else "-",
            _last(row),
            row.request or "-",
            row.delivery,
        ),
        empty="No deliveries.",
    )


@deliveries.command(short_help="Send again what is dead or unknown.")
@click.argument("delivery", required=False)
@click.option("--target", metavar="NAME", help="All of this target that was given up.")
@click.option("--notices", is_flag=True, help="The target is a channel, not a webhook.")
@speaks()
def redrive(session: Session, delivery: str | None, target: str | None, notices: bool) -> None:
    """Send DELIVERY again, or all of a target that was given up; each under its old id."""
    from watchkeeper.wire.deliveries import Redrive

    if (delivery is None) == (target is None):
        fail(Invalid("name a delivery, or a target with --target", where="command line"))
    if delivery is not None:
        name = delivery
        row = session.call(lambda plane: plane.redrive(name))
        if session.json:
            print_json(row)
        else:
            say(f"{row.delivery} is {row.state}.")
        return
    body = Redrive.model_validate({"target": target, "kind": "notice" if notices else "webhook"})
    found = session.call(lambda plane: plane.redrive_all(body))
    if session.json:
        print_json(found)
        return
    left = f"; {found.left} are left: say it again" if found.left else ""
    say(f"{found.redriven} to {target} are sent again{left}.")


@deliveries.command(short_help="Give a delivery up for good.")
@click.argument("delivery")
@click.option("--reason", metavar="TEXT", help="Why; kept in the ledger.")
@speaks()
def discard(session: Session, delivery: str, reason: str | None) -> None:
    """Give a delivery up for good."""
    from watchkeeper.wire.deliveries import Discard

    row = session.call(lambda plane: plane.discard(delivery, Discard(reason=reason)))
    if session.json:
        print_json(row)
    else:
        say(f"{row.delivery} is {row.state}.")


@click.group(cls=NamedGroup)
def webhooks() -> None:
    """What receivers of callbacks need to verify them."""


@webhooks.command("key", short_help="Print the public key of unshared signatures.")
@speaks()
def key(session: Session) -> None:
    """Print the key that webhooks with `signing: ed25519` are verified with."""
    found = session.call(lambda plane: plane.webhook_key())
    if session.json:
        print_json(found)
    else:
        say(found.key)


@webhooks.command("secret")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def secret(as_json: bool) -> None:
    """Make a secret to share with a receiver; nothing is kept of it here."""
    import base64
    import json

    from watchkeeper.core.ids import random_bytes

    made = "whsec_" + base64.b64encode(random_bytes(_SECRET_BYTES)).decode()
    say(json.dumps({"secret": made}) if as_json else made)


def _last(row: DeliveryRow) -> str:
    if row.last_error:
        return row.last_error
    return str(row.last_status) if row.last_status else "-"
