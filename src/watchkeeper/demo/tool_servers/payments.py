"""Charges, refunds, cards and loans: the server where money moves."""

from __future__ import annotations

import sqlite3

from watchkeeper.core.clock import SystemClock
from watchkeeper.demo.sample import read_world
from watchkeeper.demo.tool_servers.tool import (
    NUMBER,
    TEXT,
    Arguments,
    Result,
    Tool,
    ToolFailed,
    Workplace,
    cents,
    fetch,
)

_TABLES = """
CREATE TABLE charges (id TEXT PRIMARY KEY, customer TEXT, cents INTEGER, description TEXT,
  captured_on TEXT, method TEXT);
CREATE TABLE refunds (refund INTEGER PRIMARY KEY, charge TEXT NOT NULL, cents INTEGER NOT NULL,
  reason TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE cards (id TEXT PRIMARY KEY, customer TEXT, state TEXT);
CREATE TABLE transactions (id TEXT PRIMARY KEY, card TEXT, cents INTEGER, merchant TEXT,
  country TEXT, minute INTEGER);
CREATE TABLE loans (id TEXT PRIMARY KEY, customer TEXT, cents INTEGER, purpose TEXT,
  yearly_income_usd INTEGER, debt_usd INTEGER, score INTEGER, months INTEGER,
  decision TEXT, decided_at INTEGER);
"""


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?)",
        [
            (r["id"], r["customer"], cents(r["amount_usd"]), r["description"], r["captured_on"],
             r["method"])
            for r in read_world("charges")
        ],
    )  # fmt: skip
    connection.executemany("INSERT INTO cards VALUES (:id, :customer, :state)", read_world("cards"))
    connection.executemany(
        "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)",
        [
            (r["id"], r["card"], cents(r["amount_usd"]), r["merchant"], r["country"], r["minute"])
            for r in read_world("transactions")
        ],
    )
    connection.executemany(
        "INSERT INTO loans VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        [
            (r["id"], r["customer"], cents(r["amount_usd"]), r["purpose"], r["yearly_income_usd"],
             r["debt_usd"], r["score"], r["months"])
            for r in read_world("loans")
        ],
    )  # fmt: skip


def _refunded(connection: sqlite3.Connection, charge: str) -> int:
    total: int = connection.execute(
        "SELECT coalesce(sum(cents), 0) FROM refunds WHERE charge = ?", (charge,)
    ).fetchone()[0]
    return total


def _lookup_charge(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, "SELECT * FROM charges WHERE id = ?", arguments["charge_id"], "charge")
    return {
        "charge_id": row["id"],
        "customer": row["customer"],
        "amount_usd": row["cents"] / 100,
        "refunded_usd": _refunded(connection, row["id"]) / 100,
        "description": row["description"],
        "captured_on": row["captured_on"],
        "method": row["method"],
    }


def _create_refund(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, "SELECT * FROM charges WHERE id = ?", arguments["charge_id"], "charge")
    wanted = cents(arguments["amount_usd"])
    left = row["cents"] - _refunded(connection, row["id"])
    if wanted <= 0 or wanted > left:
        raise ToolFailed(f"{row['id']} has ${left / 100:,.2f} left to refund")
    cursor = connection.execute(
        "INSERT INTO refunds (charge, cents, reason, at) VALUES (?, ?, ?, ?)",
        (row["id"], wanted, arguments["reason"], SystemClock().now()),
    )
    return {
        "refund_id": f"re_{cursor.lastrowid:05d}",
        "charge_id": row["id"],
        "amount_usd": wanted / 100,
        "state": "paid back",
    }


def _list_transactions(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    card = fetch(connection, "SELECT * FROM cards WHERE id = ?", arguments["card_id"], "card")
    rows = connection.execute(
        "SELECT * FROM transactions WHERE card = ? ORDER BY minute", (card["id"],)
    ).fetchall()
    return {
        "card_id": card["id"],
        "state": card["state"],
        "transactions": [
            {
                "id": row["id"],
                "amount_usd": row["cents"] / 100,
                "merchant": row["merchant"],
                "country": row["country"],
                "minute_of_day": row["minute"],
            }
            for row in rows
        ],
    }


def _block_card(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    card = fetch(connection, "SELECT * FROM cards WHERE id = ?", arguments["card_id"], "card")
    if card["state"] == "blocked":
        raise ToolFailed(f"{card['id']} is blocked already")
    connection.execute("UPDATE cards SET state = 'blocked' WHERE id = ?", (card["id"],))
    return {"card_id": card["id"], "state": "blocked"}


def _read_application(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(
        connection, "SELECT * FROM loans WHERE id = ?", arguments["application_id"], "application"
    )
    return {
        "application_id": row["id"],
        "applicant": row["customer"],
        "amount_usd": row["cents"] / 100,
        "purpose": row["purpose"],
        "months": row["months"],
        "yearly_income_usd": row["yearly_income_usd"],
        "decision": row["decision"],
    }


def _read_credit_report(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(
        connection, "SELECT * FROM loans WHERE id = ?", arguments["application_id"], "application"
    )
    return {"application_id": row["id"], "score": row["score"], "debt_usd": row["debt_usd"]}


def _record_decision(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(
        connection, "SELECT * FROM loans WHERE id = ?", arguments["application_id"], "application"
    )
    if row["decision"]:
        raise ToolFailed(f"{row['id']} was decided already: {row['decision']}")
    connection.execute(
        "UPDATE loans SET decision = ?, decided_at = ? WHERE id = ?",
        (arguments["decision"], SystemClock().now(), row["id"]),
    )
    return {"application_id": row["id"], "decision": arguments["decision"]}


PAYMENTS = Workplace(
    "payments",
    _TABLES,
    _fill,
    (
        Tool(
            "lookup_charge",
            "Read one charge and what was refunded of it.",
            _lookup_charge,
            {"charge_id": TEXT},
        ),
        Tool(
            "create_refund",
            "Return money for a charge.",
            _create_refund,
            {"charge_id": TEXT, "amount_usd": NUMBER, "reason": TEXT},
            writes=True,
        ),
        Tool(
            "list_transactions",
            "List the latest transactions of one card.",
            _list_transactions,
            {"card_id": TEXT},
        ),
        Tool(
            "block_card",
            "Block one card for all payments.",
            _block_card,
            {"card_id": TEXT, "reason": TEXT},
            writes=True,
        ),
        Tool(
            "read_application",
            "Read one loan application.",
            _read_application,
            {"application_id": TEXT},
        ),
        Tool(
            "read_credit_report",
            "Read the credit score and the debts of an applicant.",
            _read_credit_report,
            {"application_id": TEXT},
        ),
        Tool(
            "record_decision",
            "Record that a loan is granted or declined.",
            _record_decision,
            {
                "application_id": TEXT,
                "decision": {"enum": ["grant", "decline"]},
                "amount_usd": NUMBER,
                "reason": TEXT,
            },
            writes=True,
        ),
    ),
)
