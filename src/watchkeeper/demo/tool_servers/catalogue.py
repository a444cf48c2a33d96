"""Products, customer profiles, and what is shown to whom."""

from __future__ import annotations

import sqlite3

from watchkeeper.core.clock import SystemClock
from watchkeeper.core.digest import canonical
from watchkeeper.demo.sample import read_world
from watchkeeper.demo.tool_servers.tool import TEXT, Arguments, Result, Tool, Workplace, fetch

_TABLES = """
CREATE TABLE products (id TEXT PRIMARY KEY, kind TEXT, name TEXT, price_usd REAL, stock INTEGER);
CREATE TABLE profiles (id TEXT PRIMARY KEY, likes TEXT, orders INTEGER, region TEXT,
  consent INTEGER);
CREATE TABLE shown (shown INTEGER PRIMARY KEY, customer TEXT NOT NULL, products TEXT NOT NULL,
  at INTEGER NOT NULL);
"""


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO products VALUES (:id, :kind, :name, :price_usd, :stock)",
        read_world("products"),
    )
    connection.executemany(
        "INSERT INTO profiles VALUES (?, ?, ?, ?, ?)",
        [
            (r["id"], " ".join(r["likes"]), r["orders"], r["region"], int(r["consent"]))
            for r in read_world("profiles")
        ],
    )


def _read_profile(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(
        connection, "SELECT * FROM profiles WHERE id = ?", arguments["customer_id"], "customer"
    )
    return {
        "customer_id": row["id"],
        "likes": row["likes"].split(),
        "orders": row["orders"],
        "agreed_to_recommendations": bool(row["consent"]),
    }


def _find_products(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    rows = connection.execute(
        "SELECT * FROM products WHERE kind = ? AND stock > 0 ORDER BY stock DESC LIMIT 5",
        (arguments["kind"],),
    ).fetchall()
    return {"products": [dict(row) for row in rows]}


def _publish_recommendation(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(
        connection, "SELECT * FROM profiles WHERE id = ?", arguments["customer_id"], "customer"
    )
    connection.execute(
        "INSERT INTO shown (customer, products, at) VALUES (?, ?, ?)",
        (row["id"], canonical(arguments["products"]).decode(), SystemClock().now()),
    )
    return {"customer_id": row["id"], "shown": len(arguments["products"])}


def _export_customers(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    rows = connection.execute("SELECT * FROM profiles").fetchall()
    return {"format": arguments["format"], "customers": [dict(row) for row in rows]}


CATALOGUE = Workplace(
    "catalogue",
    _TABLES,
    _fill,
    (
        Tool("read_profile", "Read what one customer likes.", _read_profile, {"customer_id": TEXT}),
        Tool("find_products", "Find products in stock.", _find_products, {"kind": TEXT}),
        Tool(
            "publish_recommendation",
            "Show three products to one customer.",
            _publish_recommendation,
            {
                "customer_id": TEXT,
                "products": {"type": "array", "items": TEXT, "maxItems": 3},
            },
            writes=True,
        ),
        Tool(
            "export_customers",
            "Export the profiles of all customers.",
            _export_customers,
            {"format": TEXT},
        ),
    ),
)
