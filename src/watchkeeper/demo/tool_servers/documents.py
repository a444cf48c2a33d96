"""Supplier agreements, their summaries, and mail that leaves the house."""

from __future__ import annotations

import sqlite3

from watchkeeper.core.clock import SystemClock
from watchkeeper.core.digest import canonical, parse
from watchkeeper.demo.sample import read_world
from watchkeeper.demo.tool_servers.tool import TEXT, Arguments, Result, Tool, Workplace, fetch

_TABLES = """
CREATE TABLE clauses (id TEXT PRIMARY KEY, title TEXT, text TEXT, note TEXT);
CREATE TABLE agreements (id TEXT PRIMARY KEY, vendor TEXT, trade TEXT, yearly_usd INTEGER,
  term_months INTEGER, notice_days INTEGER, clauses TEXT);
CREATE TABLE summaries (summary INTEGER PRIMARY KEY, agreement TEXT NOT NULL, text TEXT NOT NULL,
  at INTEGER NOT NULL);
CREATE TABLE outbox (mail INTEGER PRIMARY KEY, agreement TEXT NOT NULL, recipient TEXT NOT NULL,
  text TEXT NOT NULL, at INTEGER NOT NULL);
"""
_AGREEMENT = "SELECT * FROM agreements WHERE id = ?"


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO clauses VALUES (:id, :title, :text, :note)", read_world("clauses")
    )
    connection.executemany(
        "INSERT INTO agreements VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (r["id"], r["vendor"], r["trade"], r["yearly_usd"], r["term_months"],
             r["notice_days"], canonical(r["clauses"]).decode())
            for r in read_world("agreements")
        ],
    )  # fmt: skip


def _read_agreement(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _AGREEMENT, arguments["agreement_id"], "agreement")
    clauses = {clause["id"]: clause for clause in connection.execute("SELECT * FROM clauses")}
    chosen = [clauses[key] for key in parse(row["clauses"])]
    text = "\n\n".join(
        f"{number}. {clause['title']}\n{clause['text']}"
        for number, clause in enumerate(chosen, start=1)
    )
    return {
        "agreement_id": row["id"],
        "vendor": row["vendor"],
        "trade": row["trade"],
        "yearly_usd": row["yearly_usd"],
        "term_months": row["term_months"],
        "notice_days": row["notice_days"],
        "margin_notes": [clause["note"] for clause in chosen if clause["note"]],
        "text": text,
    }


def _save_summary(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _AGREEMENT, arguments["agreement_id"], "agreement")
    cursor = connection.execute(
        "INSERT INTO summaries (agreement, text, at) VALUES (?, ?, ?)",
        (row["id"], arguments["text"], SystemClock().now()),
    )
    return {"agreement_id": row["id"], "summary": cursor.lastrowid}


def _send_summary(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _AGREEMENT, arguments["agreement_id"], "agreement")
    cursor = connection.execute(
        "INSERT INTO outbox (agreement, recipient, text, at) VALUES (?, ?, ?, ?)",
        (row["id"], arguments["to"], arguments["text"], SystemClock().now()),
    )
    return {"agreement_id": row["id"], "mail": cursor.lastrowid, "state": "sent"}


DOCUMENTS = Workplace(
    "documents",
    _TABLES,
    _fill,
    (
        Tool(
            "read_agreement", "Read a supplier agreement.", _read_agreement, {"agreement_id": TEXT}
        ),
        Tool(
            "save_summary",
            "File a summary beside the agreement.",
            _save_summary,
            {"agreement_id": TEXT, "text": TEXT},
            writes=True,
        ),
        Tool(
            "send_summary",
            "Send a summary to the vendor by e-mail.",
            _send_summary,
            {"agreement_id": TEXT, "to": TEXT, "text": TEXT},
            writes=True,
        ),
    ),
)
