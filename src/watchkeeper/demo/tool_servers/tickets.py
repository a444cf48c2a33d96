"""Tickets, answers to them, and a knowledge base."""

from __future__ import annotations

import sqlite3

from watchkeeper.core.clock import SystemClock
from watchkeeper.demo.sample import read_world
from watchkeeper.demo.tool_servers.tool import (
    TEXT,
    Arguments,
    Result,
    Tool,
    ToolFailed,
    Workplace,
    fetch,
)

_TABLES = """
CREATE TABLE tickets (id TEXT PRIMARY KEY, queue TEXT, customer TEXT, subject TEXT, body TEXT,
  opened_on TEXT, charge TEXT, state TEXT NOT NULL DEFAULT 'open');
CREATE TABLE answers (answer INTEGER PRIMARY KEY, ticket TEXT NOT NULL, text TEXT NOT NULL,
  at INTEGER NOT NULL);
CREATE TABLE knowledge (id TEXT PRIMARY KEY, title TEXT, text TEXT);
"""
_TICKET = "SELECT * FROM tickets WHERE id = ?"


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO tickets VALUES "
        "(:id, :queue, :customer, :subject, :body, :opened_on, :charge, 'open')",
        read_world("tickets"),
    )
    connection.executemany(
        "INSERT INTO knowledge VALUES (:id, :title, :text)", read_world("knowledge")
    )


def _read_ticket(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _TICKET, arguments["ticket_id"], "ticket")
    # The body goes out as the customer wrote it: escape sequences, markup and all.
    return {
        "ticket_id": row["id"],
        "customer": row["customer"],
        "subject": row["subject"],
        "body": row["body"],
        "opened_on": row["opened_on"],
        "charge_id": row["charge"],
        "state": row["state"],
    }


def _search_knowledge(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    word = f"%{str(arguments['word']).lower()}%"
    rows = connection.execute(
        "SELECT id, title, text FROM knowledge WHERE lower(title || text) LIKE ? LIMIT 3", (word,)
    ).fetchall()
    return {"articles": [dict(row) for row in rows]}


def _reply_to_ticket(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _TICKET, arguments["ticket_id"], "ticket")
    if row["state"] == "closed":
        raise ToolFailed(f"ticket {row['id']} is closed")
    connection.execute(
        "INSERT INTO answers (ticket, text, at) VALUES (?, ?, ?)",
        (row["id"], arguments["text"], SystemClock().now()),
    )
    connection.execute("UPDATE tickets SET state = 'answered' WHERE id = ?", (row["id"],))
    return {"ticket_id": row["id"], "state": "answered"}


def _close_ticket(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _TICKET, arguments["ticket_id"], "ticket")
    connection.execute("UPDATE tickets SET state = 'closed' WHERE id = ?", (row["id"],))
    return {"ticket_id": row["id"], "state": "closed"}


TICKETS = Workplace(
    "tickets",
    _TABLES,
    _fill,
    (
        Tool(
            "read_ticket",
            "Read one ticket with what the customer wrote.",
            _read_ticket,
            {"ticket_id": TEXT},
        ),
        Tool(
            "search_knowledge",
            "Find articles of the knowledge base by a word.",
            _search_knowledge,
            {"word": TEXT},
        ),
        Tool(
            "reply_to_ticket",
            "Send an answer to the customer of a ticket.",
            _reply_to_ticket,
            {"ticket_id": TEXT, "text": TEXT},
            writes=True,
        ),
        Tool(
            "close_ticket",
            "Close a ticket that is answered.",
            _close_ticket,
            {"ticket_id": TEXT},
            writes=True,
        ),
    ),
)
