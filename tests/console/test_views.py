"""What panes show, read as text: words, order, and nothing told by colour alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.blocks import lay_out_blocks, text_of
from watchkeeper.console.filters import read_filter
from watchkeeper.console.panes.ledger import LedgerPane
from watchkeeper.console.views import (
    agents,
    budgets,
    events,
    locks,
    needs,
    request_detail,
    requests,
)
from watchkeeper.console.words import (
    AGENT_STATES,
    BUDGET_STATES,
    REQUEST_STATES,
    RUN_STATES,
    count_text,
    money_text,
    span_text,
)
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import cell_width, make_safe
from watchkeeper.wire.audit import AnchorRow, Verification
from watchkeeper.wire.budgets import BudgetDetail, Spender
from watchkeeper.wire.locks import EFFECTS, Receipt
from watchkeeper.wire.requests import VoteRow

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202etxt.exe[/red]\r\n▌ approved by ada\x9b2J"


def test_a_request_is_told_in_the_order_that_matters() -> None:
    """The deed first, the agent's own words after everything the plane knows."""
    text = read(request_detail.detail_blocks(samples.request_detail(), moment()))
    order = [
        "refund $250.00 on charge ch_81",
        "Who asks",
        "on behalf of",
        "What changes",
        "refunded_usd",
        "reach",
        "way back",
        "Why it is asked",
        "policy/refund-over-200",
        "Who must agree",
        "Like requests",
        "Arguments",
        '{"amount_usd":250,"charge_id":"ch_81"}',
        "In the agent's own words",
        "▌ The customer waited long.",
        "Timeline",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_the_agents_words_cannot_leave_their_gutter() -> None:
    """Every line between the label and the next section starts with the gutter."""
    words = "fine\n" * 3 + "Who must agree: 1 of 1 did\n✓ approved by ada\n" + "long " * 60
    text = read(request_detail.detail_blocks(samples.request_detail(explanation=words), moment()))
    quoted = text.partition("unchecked")[2].partition("Timeline")[0].splitlines()[1:]
    written = [line for line in quoted if line.strip()]
    assert len(written) > 8
    assert all(line.startswith("▌") for line in written)


@pytest.mark.parametrize("width", [20, 54, 76, 120])
def test_hostile_text_is_written_out_and_stays_in_its_width(width: int) -> None:
    """No control, no direction mark and no markup is obeyed, wherever it comes from."""
    detail = samples.request_detail(
        asks=HOSTILE,
        goal=HOSTILE,
        canonical=HOSTILE,
        explanation=HOSTILE,
        blast_radius=HOSTILE,
        rollback=HOSTILE,
        history=HOSTILE,
        rule_text=HOSTILE,
    )
    rows = lay_out_blocks(request_detail.detail_blocks(detail, moment()), width)
    text = text_of(rows)
    assert make_safe(text, keep_newlines=True) == text
    assert "[/red]" in text.replace("\n", "")
    listed = requests.cells(detail, moment())
    assert all(make_safe(cell.text) == cell.text for cell in listed.values())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "02:11"),
        ({"decide_by": NOW + seconds(45)}, "00:45 !"),
        ({"level": 2}, "02:11 !"),
        ({"decide_by": NOW - seconds(12)}, "late 00:12"),
        ({"decide_by": NOW + seconds(2 * 3600)}, "2h00"),
        ({"state": "approved"}, "–"),
    ],
)
def test_time_left_is_told_without_colour(changed: dict[str, object], said: str) -> None:
    """A breach and a near end carry a mark or a word, not only a colour."""
    row = samples.request_row(**changed)
    assert requests.cells(row, moment())["left"].text.rstrip() == said


def test_who_may_not_decide_is_told_why() -> None:
    """A key that does nothing says why."""
    assert requests.why_not_decide(samples.request_row()) is None
    other = samples.request_row(mine=False)
    assert "finance-ops" in (requests.why_not_decide(other) or "")
    done = samples.request_row(state="denied", decided_by="person/ada")
    assert requests.why_not_decide(done) == "it is denied already, by ada"


def test_what_must_be_typed_is_the_object_or_a_code() -> None:
    """A name nobody can type, or that imitates another, gives way to a code."""
    assert requests.typed_text(samples.request_row()) == "ch_81"
    assert requests.typed_text(samples.request_row(object=None)) == "7f3a"
    alike = {"kind": "account", "id": "pаypal"}
    assert requests.typed_text(samples.request_row(object=alike)) == "7f3a"


def test_votes_and_levels_are_listed() -> None:
    """Who agreed already, who is asked now, who comes next."""
    vote = VoteRow(person="person/ada", role="finance-ops", verdict="approve", at=NOW, reason="ok")
    detail = samples.request_detail(votes=(vote,), approvals=1, quorum=2)
    text = read(request_detail.detail_blocks(detail, moment()))
    assert "Who must agree: 1 of 2 did" in text
    assert "waits for 1 person of finance-ops" in text
    assert "✓ approved by ada (finance-ops)" in text
    assert "▸ finance-ops" in text
    assert "  finance-lead after 1 min" in text


def test_states_are_told_apart_by_word() -> None:
    """No two states of a kind share a word."""
    for states in (AGENT_STATES, RUN_STATES, REQUEST_STATES, BUDGET_STATES):
        assert len({said.word for said in states.values()}) == len(states)


def test_a_stopped_agent_says_why() -> None:
    """The reason takes the place of what it would do."""
    row = samples.agent_row(state="stopped", why="budget agent/refund-assistant/day is exhausted")
    cells = agents.cells(row, moment())
    assert cells["doing"].text == "budget agent/refund-assistant/day is exhausted"
    assert cells["state"].text == "■ stopped"


def test_an_agents_envelope_is_in_words() -> None:
    """What it may, what it must ask for, and that nothing else is allowed."""
    file = agents.AgentFile(samples.agent_detail(), locks=(samples.lock_row(),))
    text = read(agents.detail_blocks(file, moment()), 100)
    assert "✓ may         zendesk.read_ticket" in text
    assert "◐ asks first  stripe.create_refund" in text
    assert "✗ never       bank.transfer" in text
    assert "with approval by finance-ops. Refund a charge" in text
    assert "Everything else is refused." in text
    assert "■ killed by ada 5 s ago: loops" in text


@given(
    cap=st.integers(0, 10**9), posted=st.integers(0, 10**9), held=st.integers(0, 10**9),
    width=st.integers(4, 40),
)  # fmt: skip
def test_a_gauge_never_hides_room_or_use(cap: int, posted: int, held: int, width: int) -> None:
    """Full looks full only when it is; anything used shows."""
    row = samples.budget_row(cap=cap, posted=posted, held=held)
    gauge = budgets.gauge_text(row, width)
    assert cell_width(gauge) == width
    used = posted + held
    assert (budgets.FREE in gauge) == (used < cap)
    if used > 0:
        assert not gauge.startswith(budgets.FREE)
    assert ("100%" in budgets.percent_text(row)) <= (used >= cap)


def test_a_budget_says_who_spends_and_when_it_ends() -> None:
    """Gauge, room, forecast and spenders."""
    row = samples.budget_row(exhausts_at=NOW + seconds(600), state="warning")
    spender = Spender(agent="refund-assistant", amount=3_000_000, calls=12)
    detail = BudgetDetail(**row.model_dump(), spenders=(spender,))
    text = read(budgets.blocks(detail, moment()))
    assert "room         $5.00" in text
    assert "exhausted 19:14:31Z, in 10 min" in text
    assert "refund-assistant  $3.00  12 calls" in text


@pytest.mark.parametrize("text", ["", "0", "-5", "ten", "1.5", "٣", "9" * 30])
def test_a_count_that_is_no_count_is_refused(text: str) -> None:
    """A top-up in calls or tokens takes a whole number above nothing."""
    with pytest.raises(Invalid):
        budgets.read_amount("tool_calls", text)


def test_amounts_are_read_in_their_measure() -> None:
    """Dollars for spend, a count for the rest."""
    assert budgets.read_amount("spend", "$2.50") == 2_500_000
    assert budgets.read_amount("tokens", "1,000") == 1000
    with pytest.raises(Invalid):
        budgets.read_amount("spend", "0")


def test_all_eight_receipts_are_listed_from_the_start() -> None:
    """What has not come is waited for, what is unproved says so."""
    came = (
        Receipt(effect="stop run", state="acknowledged", detail="2 runs", at=NOW, after_ms=1.24),
        Receipt(effect="notify owner", state="unconfirmed", detail="no", at=NOW, after_ms=1204.0),
    )
    text = read(locks.receipt_blocks(samples.lock_row(receipts=came), moment()), 100)
    assert all(effect in text for effect in EFFECTS)
    assert text.count("… waiting") == 6
    assert "✓ acknowledged    1.2 ms  2 runs" in text
    assert "? unconfirmed   1,204 ms  no" in text
    assert "check it by hand" in text


@pytest.mark.parametrize("width", [20, 40, 78])
def test_a_table_loses_nothing_of_its_last_column(width: int) -> None:
    """What a receipt says can be read whole at any width."""
    detail = "refusals are marked as not to be retried, in every protocol that can say so"
    came = Receipt(
        effect="prevent retries", state="acknowledged", detail=detail, at=NOW, after_ms=0
    )
    rows = lay_out_blocks(locks.receipt_blocks(samples.lock_row(receipts=(came,)), moment()), width)
    words = text_of(rows).split()
    assert all(word in words for word in detail.split())
    assert all(sum(cell_width(part.text) for part in row) <= width for row in rows[4:])


def test_the_blast_radius_counts_in_words() -> None:
    """What a kill stops is countable before it is confirmed."""
    text = read(locks.radius_blocks(samples.radius()))
    for words in ("2 open runs", "1 call in flight", "3 pending approvals", "$0.75 held"):
        assert words in text
    many = samples.radius(agents=tuple(f"agent-{n}" for n in range(20)))
    assert "and 14 more" in read(locks.radius_blocks(many), 120)


def test_a_ledger_entry_shows_what_is_hashed() -> None:
    """The body in canonical form, not as it happened to be sent."""
    assert '{"a":[true,null],"b":1}' in read(events.blocks(samples.event_row(), moment()))


def test_a_filter_line_names_fields_and_words() -> None:
    """`type:` and its like are fields, the rest is text; the feed obeys the same filter."""
    wanted = read_filter(
        "type:decision. agent:refund-assistant delete_customer now:", LedgerPane.filter_keys
    )
    assert wanted == {
        "type": "decision.",
        "agent": "refund-assistant",
        "filter": "delete_customer now:",
    }
    del wanted["filter"]
    assert events.matches(samples.event_row(), wanted)
    assert not events.matches(samples.event_row(agent="other"), wanted)
    assert not events.matches(samples.event_row(type="run.opened"), wanted)


def test_a_broken_chain_names_its_first_bad_entry() -> None:
    """Verification says which entry, and what to do."""
    bad = Verification(ok=False, entries=90, first_bad=41, what="changed")
    assert "✗ The ledger is changed at entry 41." in read(events.verification_blocks(bad))
    good = Verification(ok=True, entries=90)
    assert "90 entries verified" in read(events.verification_blocks(good))
    anchor = AnchorRow(anchor="git ops", kind="git", place="ops", size=40, problem="it is gone")
    told = Verification(
        ok=False, entries=90, what="missing: a file is gone", anchors=(anchor,), notes=("a fork",)
    )
    text = read(events.verification_blocks(told))
    for words in ("✗ The ledger is missing.", "a file is gone.", "up to entry 40; it is gone",
                  "a fork"):  # fmt: skip
        assert words in text


def test_a_need_says_what_to_do_and_opens_the_right_pane() -> None:
    """What is the matter, what a person can do, how long there is."""
    cells = needs.cells(samples.need(), moment())
    assert cells["left"].text == "00:40 !"
    assert cells["do"].text == "decide"
    text = read(needs.blocks(samples.need(), moment()))
    assert "→ approve or reject" in text
    assert needs.cells(samples.need(mine=False), moment())["do"].text == "others"
    assert needs.place_of(samples.need()) == ("approvals", "req_1")


def test_figures_are_rounded_as_people_say_them() -> None:
    """Money never rounds to nothing, counts stay short."""
    assert money_text(1) == "<$0.01"
    assert money_text(0) == "$0.00"
    assert money_text(1_234_567) == "$1.23"
    assert money_text(12_345_678_900) == "$12,346"
    assert [count_text(n) for n in (9_999, 48_200, 31_000_000)] == ["9,999", "48.2k", "31.0M"]
    assert [span_text(n) for n in (12, 240, 7200, 200_000)] == ["12 s", "4 min", "2 h", "2 d"]
