"""`watchkeeper witness`: a witness for the logs of planes elsewhere, as a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.core.key_files import load_or_make
from watchkeeper.core.places import make_private
from watchkeeper.core.text import make_safe
from watchkeeper.ledger.notes import COSIGNATURE, NoteKey, public_of, read_key
from watchkeeper.ledger.witness import LARGEST, Reply, Witness
from watchkeeper.plane.server import Server, bind_tcp

_LOG = logging.getLogger("watchkeeper.plane.witness")
_MOST_CONNECTIONS = 200
_STOP_SECONDS = 5
_BODY_SECONDS = 10
_WHAT = "the witness's key"

DIRECTORY = click.option(
    "--directory", required=True, metavar="DIR", type=click.Path(path_type=Path),
    help="Where its key is, and what it saw.",
)  # fmt: skip
NAME = click.option("--name", required=True, help="Its name, e.g. witness.example.org/one.")


@click.group()
def witness() -> None:
    """Cosign the checkpoints of planes elsewhere (C2SP tlog-witness)."""


@witness.command(short_help="Print the witness's key.")
@DIRECTORY
@NAME
def key(directory: Path, name: str) -> None:
    """Print the key that planes are told of (`anchor_witness_key`); made if there is none."""
    try:
        click.echo(public_of(_private(directory), name, COSIGNATURE).text())
    except WatchkeeperError as error:
        _fail(error)


@witness.command(short_help="Run a witness.")
@DIRECTORY
@NAME
@click.option("--log", "logs", multiple=True, required=True, metavar="KEY",
              help="The key of a plane's log; as `watchkeeper audit keys` prints it.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8760, show_default=True, type=click.IntRange(0, 65_535))
def serve(directory: Path, name: str, logs: tuple[str, ...], host: str, port: int) -> None:
    """Run a witness in the foreground, on a host where nobody can alter a plane's ledger.

    It cosigns a checkpoint only if its log still begins with all that it saw before.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    os.umask(0o077)
    try:
        known = [read_key(text) for text in logs]
        asyncio.run(_serve(directory, name, known, host, port))
    except WatchkeeperError as error:
        _fail(error)


def _fail(error: WatchkeeperError) -> None:
    click.echo(f"watchkeeper: {make_safe(error)}", err=True)
    sys.exit(1)


def _private(directory: Path) -> Any:
    return load_or_make(directory / "witness.key", _WHAT)


async def _serve(directory: Path, name: str, logs: list[NoteKey], host: str, port: int) -> None:
    make_private(directory)
    with (directory / "witness.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict("a witness runs there already", where=str(directory)) from None
        here = Witness(name, _private(directory), logs, directory / "seen")
        server = Server(
            Application(here), most_connections=_MOST_CONNECTIONS, stop_seconds=_STOP_SECONDS
        )
        listener = bind_tcp(host, port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.open([listener])
        click.echo(f"witness {here.key.text()}")
        click.echo(f"listens on http://{host}:{listener.getsockname()[1]}")
        sys.stdout.flush()
        await server.main_loop()
        await server.close()


class Application:
    """The witness as an ASGI application."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._clock = SystemClock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._answer(scope["method"], scope["path"], receive)
        except Exception:
            # what it saw cannot be read or written: nothing is cosigned then
            _LOG.exception("a request failed")
            reply = Reply(500, "it cannot be answered now\n")
        raw = reply.body.encode()
        headers = [
            (b"content-type", reply.type.encode()),
            (b"content-length", str(len(raw)).encode()),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    async def _answer(self, method: str, path: str, receive: Any) -> Reply:
        if method == "GET":
            return self._witness.show(path)
        if method != "POST" or path != "/add-checkpoint":
            return Reply(404)
        raw = b""
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                raw += message.get("body", b"")
                if len(raw) > LARGEST:
                    return Reply(413)
                if not message.get("more_body"):
                    break
        return self._witness.add(raw, self._clock.now() // MICROSECONDS)
