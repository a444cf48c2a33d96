"""Services that run somewhere, and proposed changes to their source."""

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
CREATE TABLE services (id TEXT PRIMARY KEY, environment TEXT, replicas INTEGER, version TEXT,
  previous TEXT, memory_percent INTEGER, errors_per_minute INTEGER, restarts INTEGER DEFAULT 0);
CREATE TABLE deployments (deployment INTEGER PRIMARY KEY, service TEXT NOT NULL,
  what TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE changes (id TEXT PRIMARY KEY, title TEXT, path TEXT, diff TEXT, finding TEXT,
  author TEXT);
CREATE TABLE comments (comment INTEGER PRIMARY KEY, change TEXT NOT NULL, text TEXT NOT NULL,
  at INTEGER NOT NULL);
"""
_SERVICE = "SELECT * FROM services WHERE id = ?"
_CHANGE = "SELECT * FROM changes WHERE id = ?"


def _fill(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO services VALUES (:id, :environment, :replicas, :version, :previous, "
        ":memory_percent, :errors_per_minute, 0)",
        read_world("services"),
    )
    connection.executemany(
        "INSERT INTO changes VALUES (:id, :title, :path, :diff, :finding, :author)",
        read_world("changes"),
    )


def _describe_service(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _SERVICE, arguments["service"], "service")
    return {
        "service": row["id"],
        "environment": row["environment"],
        "replicas": row["replicas"],
        "version": row["version"],
        "previous_version": row["previous"],
        "restarts": row["restarts"],
    }


def _read_metrics(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _SERVICE, arguments["service"], "service")
    return {
        "service": row["id"],
        "memory_percent": row["memory_percent"],
        "errors_per_minute": row["errors_per_minute"],
        "p95_ms": 120 + 7 * row["memory_percent"],
    }


def _deploy(connection: sqlite3.Connection, service: str, what: str) -> None:
    connection.execute(
        "INSERT INTO deployments (service, what, at) VALUES (?, ?, ?)",
        (service, what, SystemClock().now()),
    )


def _restart_service(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _SERVICE, arguments["service"], "service")
    connection.execute(
        "UPDATE services SET restarts = restarts + 1, memory_percent = 35 WHERE id = ?",
        (row["id"],),
    )
    _deploy(connection, row["id"], "restart")
    return {"service": row["id"], "state": "restarted", "replicas": row["replicas"]}


def _scale_service(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _SERVICE, arguments["service"], "service")
    replicas = int(arguments["replicas"])
    connection.execute("UPDATE services SET replicas = ? WHERE id = ?", (replicas, row["id"]))
    _deploy(connection, row["id"], f"scale to {replicas}")
    return {"service": row["id"], "replicas": replicas}


def _roll_back(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _SERVICE, arguments["service"], "service")
    if arguments["to_version"] != row["previous"]:
        raise ToolFailed(f"{row['id']} can only go back to {row['previous']}")
    connection.execute(
        "UPDATE services SET version = previous, previous = version, errors_per_minute = 0 "
        "WHERE id = ?",
        (row["id"],),
    )
    _deploy(connection, row["id"], f"roll back to {row['previous']}")
    return {"service": row["id"], "version": row["previous"]}


def _read_change(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _CHANGE, arguments["change_id"], "change")
    return {
        "change_id": row["id"],
        "title": row["title"],
        "path": row["path"],
        "diff": row["diff"],
        "author": row["author"],
    }


def _read_file(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    rows = connection.execute(
        "SELECT id, title FROM changes WHERE path = ?", (arguments["path"],)
    ).fetchall()
    if not rows:
        raise ToolFailed(f"there is no file {arguments['path']!r}")
    history = "\n".join(f"# {row['id']}: {row['title']}" for row in rows)
    return {"path": arguments["path"], "text": f"{history}\n# (the file goes on)\n"}


def _comment_on_change(connection: sqlite3.Connection, arguments: Arguments) -> Result:
    row = fetch(connection, _CHANGE, arguments["change_id"], "change")
    cursor = connection.execute(
        "INSERT INTO comments (change, text, at) VALUES (?, ?, ?)",
        (row["id"], arguments["text"], SystemClock().now()),
    )
    return {"change_id": row["id"], "comment": cursor.lastrowid}


_ONE_SERVICE = {"service": TEXT}

CLOUD = Workplace(
    "cloud",
    _TABLES,
    _fill,
    (
        Tool("describe_service", "Read what runs of a service.", _describe_service, _ONE_SERVICE),
        Tool("read_metrics", "Read memory, errors and latency.", _read_metrics, _ONE_SERVICE),
        Tool("restart_service", "Restart a service.", _restart_service, _ONE_SERVICE, writes=True),
        Tool(
            "scale_service",
            "Change how many replicas of a service run.",
            _scale_service,
            {"service": TEXT, "replicas": {"type": "integer"}},
            writes=True,
        ),
        Tool(
            "roll_back",
            "Put the version before back into service.",
            _roll_back,
            {"service": TEXT, "to_version": TEXT},
            writes=True,
        ),
        Tool("read_change", "Read a proposed change.", _read_change, {"change_id": TEXT}),
        Tool("read_file", "Read one file of the main branch.", _read_file, {"path": TEXT}),
        Tool(
            "comment_on_change",
            "Add a review comment.",
            _comment_on_change,
            {"change_id": TEXT, "text": TEXT},
            writes=True,
        ),
    ),
)
