"""What the incidents pane says, without a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.dialogs.incidents import severity_of
from watchkeeper.console.views import incidents, needs
from watchkeeper.wire.incidents import (
    SEVERITIES,
    IncidentDetail,
    IncidentLock,
    IncidentNote,
    IncidentRow,
)
from watchkeeper.wire.locks import Receipt


def a_file(**changed: object) -> incidents.IncidentFile:
    lock = samples.lock_row(
        receipts=(
            Receipt(
                effect="stop run", party="runtime/graphs", state="unconfirmed",
                detail="no answer", at=NOW, after_ms=8000.0,
            ),
        )
    )  # fmt: skip
    detail = IncidentDetail(
        **samples.incident_fields(unknown=2, **changed),
        locks=(
            IncidentLock(
                **lock.model_dump(), joined="opened", joined_at=NOW, joined_by="person/ada"
            ),
        ),
        noted=(
            IncidentNote(sequence=4101, at=NOW - seconds(60), by="person/bob", text="two refunds",
                         severity="critical"),
        ),
        held=("run/run_1", "agent/refund-assistant"),
        held_count=2,
        as_of=4200,
    )  # fmt: skip
    return incidents.IncidentFile(detail, (samples.event_row(type="lock.created"),) * 61)


def test_an_incident_shows_locks_notes_what_is_kept_and_its_timeline() -> None:
    said = " ".join(read(incidents.file_blocks(a_file(), moment()), 110).split())
    for expected in (
        "high severity", "by ada", "runtime/graphs", "unconfirmed", "1 receipt not confirmed",
        "bob: two refunds (severity: critical)", "2 runs and agents", "agent/refund-assistant",
        "lock.created", "The first 60", "2 outcomes", "as of entry 4200",
    ):  # fmt: skip
        assert expected in said, expected


def test_a_closed_incident_says_by_whom_and_why() -> None:
    row = IncidentRow(
        **samples.incident_fields(
            state="closed", in_force=0, closed_at=NOW, closed_by="person/bob", closed_why="repaired"
        )
    )
    said = read(incidents.blocks(row, moment()))
    assert "by bob" in said
    assert "repaired" in said
    cells = incidents.cells(row, moment())
    assert (cells["state"].text, cells["locks"].text, cells["unknown"].text) == (
        "○ closed", "lifted", "–",
    )  # fmt: skip
    opened = IncidentRow(**samples.incident_fields(unknown=3))
    words = "".join(one.text for one in incidents.summary([row, opened]))
    assert words == "1 open incident of 2 · 3 outcomes that nobody knows"
    need = samples.need(kind="incident", subject="inc_1")
    assert needs.place_of(need) == ("incidents", "inc_1")


@given(st.text(max_size=12))
def test_a_severity_is_read_by_its_beginning_or_not_at_all(text: str) -> None:
    found = severity_of(text)
    if found is None:
        assert text.strip().lower() not in SEVERITIES
    else:
        assert found.startswith(text.strip().lower())
