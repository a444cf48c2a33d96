"""Reports for people over a period; `progress` is no kind of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast, get_args

from starlette.responses import Response

from watchkeeper.api.events import event_row
from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import LAST_AT
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.reports.model import Asked
from watchkeeper.decide.reports.pages import POLICY, as_html
from watchkeeper.decide.reports.texts import as_csv, as_markdown
from watchkeeper.wire.audit import Progress
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.reports import Report, ReportForm, ReportKind

_FORMS: dict[str, tuple[str, Callable[[Report], str]]] = {
    "json": ("application/json", Report.model_dump_json),
    "html": ("text/html; charset=utf-8", as_html),
    "markdown": ("text/markdown; charset=utf-8", as_markdown),
    "csv": ("text/csv; charset=utf-8; header=present", as_csv),
}
_READ_ROWS, _MOST_ROWS = 1_000, 100_000
"""Rows of a table that people are given to read, and that a program is given at most."""


async def report(call: Call) -> Response:
    """Make a report; of some teams' agents for who audits only those."""
    kind = call.path("kind")
    if kind not in get_args(ReportKind):
        known = ", ".join(get_args(ReportKind))
        raise Invalid(
            f"there is no report {kind!r:.40}", where="path: kind", remedy=f"one of {known}"
        )
    form = call.one_of("format", get_args(ReportForm))
    since, until, rows = call.whole("since"), call.whole("until"), call.whole("rows")
    if since is None or until is None or not since < until <= LAST_AT:
        raise Invalid(
            "a period begins before it ends, and before the year 10000", where="query: since, until"
        )
    data = call.option("data", DATA_CLASSES)
    if data is not None and kind != "access":
        raise Invalid("only a report on access is about one class of data", where="query: data")
    usual = _READ_ROWS if form in ("html", "markdown") else _MOST_ROWS
    teams = call.who.permissions.teams("audit")
    asked = Asked(
        kind=cast("ReportKind", kind),
        since=since,
        until=until,
        rows=min(usual if rows is None else max(1, rows), _MOST_ROWS),
        data=data,
        teams=teams,
        agents=None if teams is None else frozenset(call.rooms.view.now.seen_in(teams).agents),
    )
    made = await call.rooms.reporting.make(
        asked, lambda event: event_row(event).text, by=call.actor, gone=call.request.is_disconnected
    )
    media_type, write = _FORMS[form]
    text = await asyncio.to_thread(write, made)
    headers = {"cache-control": "no-store", "content-security-policy": POLICY,
               "content-disposition": "attachment"}  # fmt: skip
    return Response(text, media_type=media_type, headers=headers)


async def progress(call: Call) -> Progress:
    """Say how far the caller's newest report is."""
    done, total = call.rooms.reporting.progress(call.actor)
    return Progress(done=done, total=total)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/reports/progress",
        "audit",
        progress,
        "How far the caller's newest report is.",
        answers=Progress,
        tags=("ledger",),
        by_team=True,
    ),
    Operation(
        "GET",
        "/v1/reports/{kind}",
        "audit",
        report,
        "Report on a period: HTML, Markdown, CSV or JSON (`format`).",
        answers=Report,
        query=("since", "until", "data", "format", "rows"),
        tags=("ledger",),
        by_team=True,
    ),
)
