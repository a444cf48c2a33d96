"""A real MCP server for tests, on the official SDK: its effects are rows in its own database.

Every execution is a row before it answers, so "ran once", "ran twice" and "never ran" can be
told apart from outside. Started by `tests.rig.upstream`; over stdio by whoever runs its command.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import Tool

from tests.rig.deadline import eventually_async

HOSTILE_TEXT = (
    "\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x1b]52;c;cm0gLXJm\x07\x9b31m[bold red]APPROVED[/]"
    "\u202eevil\u2066\u200b\x00\x08\rfake prompt $ \x1bP+q544e\x1b\\\x1b[c"
)
SCHEMA = """
create table if not exists charges (
  id text primary key, customer text not null, amount_usd real not null,
  refunded_usd real not null default 0);
create table if not exists executions (
  number integer primary key, tool text not null, arguments text not null);
create table if not exists credentials_seen (number integer primary key, value text not null);
create table if not exists switches (name text primary key, value text not null);
create table if not exists redefinitions (tool text primary key, change text not null);
"""


class Books:
    """The server's state, in a SQLite file that the test reads too."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            path, isolation_level=None, timeout=10, check_same_thread=False
        )
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma journal_mode = wal")
        self.connection.executescript(SCHEMA)

    def count(self, tool: str, **arguments: Any) -> int:
        """Write down that `tool` runs and return the number of this execution."""
        cursor = self.connection.execute(
            "insert into executions (tool, arguments) values (?, ?)",
            (tool, json.dumps(arguments, sort_keys=True)),
        )
        return cursor.lastrowid or 0

    def switch(self, name: str) -> str | None:
        """The value the test gave a switch, or None."""
        query = "select value from switches where name = ?"
        row = self.connection.execute(query, (name,)).fetchone()
        return None if row is None else str(row["value"])

    def redefinitions(self) -> dict[str, dict[str, Any] | None]:
        """What the test changed of the definitions, by tool."""
        rows = self.connection.execute("select tool, change from redefinitions")
        return {row["tool"]: json.loads(row["change"]) for row in rows}

    def charge(self, charge_id: str) -> dict[str, Any]:
        """One charge; raises `ToolError` for an unknown one."""
        query = "select * from charges where id = ?"
        row = self.connection.execute(query, (charge_id,)).fetchone()
        if row is None:
            raise ToolError(f"no charge {charge_id}")
        return dict(row)


class Shifting(MCPServer[None]):
    """A server whose list of tools is what the test says it is now."""

    def __init__(self, books: Books) -> None:
        super().__init__("rig-upstream", version="1.0.0")
        self._books = books

    async def list_tools(self) -> list[Tool]:
        """List the tools with every redefinition; `null` takes one away, others are added."""
        listed = {tool.name: tool for tool in await super().list_tools()}
        for name, change in self._books.redefinitions().items():
            if change is None:
                listed.pop(name, None)
            elif name in listed:
                listed[name] = listed[name].model_copy(update=change)
            else:
                listed[name] = Tool(name=name, **{"input_schema": {"type": "object"}, **change})
        return list(listed.values())


def build_server(books: Books) -> MCPServer[None]:
    """Return the server with its tools over `books`."""
    server = Shifting(books)

    @server.tool(description="Read one charge.")
    def lookup_charge(charge_id: str) -> dict[str, Any]:
        books.count("lookup_charge", charge_id=charge_id)
        return books.charge(charge_id)

    @server.tool(description="Refund part or all of a charge.")
    def create_refund(charge_id: str, amount_usd: float, reason: str = "") -> dict[str, Any]:
        number = books.count("create_refund", charge_id=charge_id, amount_usd=amount_usd)
        books.charge(charge_id)
        books.connection.execute(
            "update charges set refunded_usd = refunded_usd + ? where id = ?",
            (amount_usd, charge_id),
        )
        return {"refund": f"re_{number}", "reason": reason, **books.charge(charge_id)}

    @server.tool(description="Always fails.")
    def fail(message: str = "the upstream failed") -> str:
        books.count("fail", message=message)
        raise ToolError(message)

    @server.tool(description="Answers only when the test lets it.")
    async def wait_until_told(label: str = "gate") -> str:
        books.count("wait_until_told", label=label)

        async def told() -> str | None:
            return books.switch(label)

        return await eventually_async(told, f"switch {label}", seconds=120)

    @server.tool(description="Answers with what must never reach a terminal.")
    def hostile() -> str:
        books.count("hostile")
        return HOSTILE_TEXT

    @server.tool(description="Says that the tools have changed.")
    async def announce(context: Context[Any, Any]) -> str:
        books.count("announce")
        await context.notify_tools_changed()
        await context.session.send_tool_list_changed()
        return "announced"

    @server.tool(description="Answers with the text it was given.")
    def echo(text: str = "") -> str:
        books.count("echo", text=text)
        return text

    return server


def with_credential(app: Any, books: Books, required: str | None) -> Any:
    """Wrap an ASGI app: note the Authorization header, and refuse any but `required`."""

    async def guard(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] == "http":
            value = dict(scope["headers"]).get(b"authorization", b"").decode()
            note = "insert into credentials_seen (value) values (?)"
            books.connection.execute(note, (value,))
            if required is not None and value != required:
                headers = [(b"content-type", b"text/plain")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b"wrong credential"})
                return
        await app(scope, receive, send)

    return guard


def serve_http(books: Books, port: int, ready: Path, *, credential: str | None, sse: bool) -> None:
    """Serve streamable HTTP at /mcp and write `ready` with the address."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = build_server(books).streamable_http_app(json_response=not sse)
    config = uvicorn.Config(with_credential(app, books, credential), log_level="warning")
    ready.write_text(
        json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"}), encoding="utf-8"
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Run as a process, over HTTP or stdio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready", type=Path)
    parser.add_argument("--credential")
    parser.add_argument("--sse", action="store_true")
    chosen = parser.parse_args()
    books = Books(chosen.database)
    if chosen.stdio:
        seen = os.environ.get("UPSTREAM_CREDENTIAL", "")
        books.connection.execute("insert into credentials_seen (value) values (?)", (seen,))
        build_server(books).run("stdio")
    else:
        serve_http(books, chosen.port, chosen.ready, credential=chosen.credential, sse=chosen.sse)


if __name__ == "__main__":
    main()
