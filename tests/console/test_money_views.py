"""What the budgets and models panes say, without a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.desk import Reply
from watchkeeper.console.dialogs.breakers import reset_question
from watchkeeper.console.dialogs.topping import cap_from, cap_question
from watchkeeper.console.views import budgets, locks, models, needs
from watchkeeper.console.views.breakers import breaker_words
from watchkeeper.console.views.sparkline import NOTHING, sparkline
from watchkeeper.core.text import cell_width
from watchkeeper.wire.budgets import BudgetDetail, ResponseShown, Spent


@given(amounts=st.lists(st.integers(0, 10**15), max_size=60), width=st.integers(0, 40))
def test_a_sparkline_hides_no_amount(amounts: list[int], width: int) -> None:
    """As many cells as amounts fit; a dot for nothing, and for nothing else."""
    drawn = sparkline(amounts, width)
    shown = amounts[-width:] if width else []
    assert cell_width(drawn) == len(drawn) == len(shown)
    assert [mark == NOTHING for mark in drawn] == [amount == 0 for amount in shown]


def test_a_budget_says_what_happens_next_and_what_it_paid_for() -> None:
    """Responses in words, who changed the cap, the breaker, and the dearest calls."""
    row = samples.budget_row(
        state="degraded",
        zone="Europe/Berlin",
        cap_by="person/ada",
        cap_until=NOW + seconds(600),
        per_hour=1_200_000,
        history=(0, 1, 5, 9),
        history_seconds=3600,
        responses=(ResponseShown(at=80, do="degrade", says="from 80 % small-fast answers"),),
        breaker="fleet/refund-assistant",
        request="req_7",
    )
    spent = Spent(
        decision="dec_1", at=NOW - seconds(60), agent="refund-assistant", run="run_1",
        kind="model", name="large-careful", amount=420_000, state="live",
    )  # fmt: skip
    text = read(budgets.blocks(BudgetDetail(**row.model_dump(), spent=(spent,)), moment()))
    assert "▼ degraded" in text
    assert "set by ada until" in text
    assert "burn         $1.20 in the last hour" in text
    assert "then         from 80 % small-fast answers" in text
    assert "(Europe/Berlin)" in text
    assert "·▁▄█" in text
    assert "breaker      fleet/refund-assistant" in text
    assert "a person is asked: req_7" in text
    assert "$0.42  refund-assistant  large-careful" in text


def test_measures_are_written_in_their_unit() -> None:
    """Money that tools move is money, time is time."""
    cells = budgets.cells(
        samples.budget_row(measure="wall_time", cap=600_000_000, posted=90_000_000, held=0),
        moment(),
    )
    assert cells["spent"].text == "1 m 30 s of 10 m 00 s"
    assert cells["measure"].text == "time/day"
    cells = budgets.cells(samples.budget_row(measure="value"), moment())
    assert cells["spent"].text == "$5.00 of $10.00"


def test_a_cap_is_read_in_its_measure_and_an_empty_one_takes_it_back() -> None:
    """Dollars for money, seconds for time; nothing at all is the documents' own."""
    row = samples.budget_row()
    check = cap_question(row, moment()).fields[0].check
    assert check("lots")
    assert [check(text) for text in ("0", "", "2.50")] == [None] * 3
    asked = Reply(True, "busy", {"cap": "2.50", "until": "2h"})
    change = cap_from(row, asked, moment())
    assert (change.cap, change.until) == (2_500_000, NOW + seconds(7200))
    assert cap_from(row, Reply(True, "done", {}), moment()).cap is None
    time = samples.budget_row(measure="wall_time")
    assert cap_from(time, Reply(True, "busy", {"cap": "90"}), moment()).cap == 90_000_000


def test_a_breaker_says_why_and_until_when() -> None:
    """One by itself with its figures; several to choose from."""
    row = samples.breaker_row()
    assert breaker_words(row, moment()) == (
        "■ open: cost pauses refund-assistant@3; probe in 10 min"
    )
    by_hand = breaker_words(samples.breaker_row(probes_at=None), moment())
    assert by_hand.endswith("a person resets it")
    text = read(reset_question((row,), moment()).body)
    assert "a call costs $0.42, ten times the usual $0.04" in text
    assert "7 calls" in text
    assert [field.key for field in reset_question((row, row), moment()).fields] == ["number"]


def test_providers_that_are_down_come_first_and_models_say_their_fallback() -> None:
    """A model is up while one of its providers is."""
    down = samples.provider_row(name="overseas", state="down", detail="HTTP 500", errors=60)
    rows = models.lines([samples.provider_row(), down], [samples.model_row()])
    assert [row.name for row in rows] == ["overseas", "local", "small-fast"]
    cells = [models.cells(row, moment()) for row in rows]
    assert [cell["state"].text for cell in cells] == ["■ down", "● up", "! fallback"]
    assert (cells[0]["errors"].text, cells[0]["errors"].token) == ("30%", "critical")
    assert (cells[1]["errors"].text, cells[1]["p95"].text) == ("<1%", "12.3 s")
    assert cells[2]["cache"].text == "25%"
    assert "down: overseas" in "".join(part.text for part in models.summary(rows))


def test_a_provider_shows_its_prices_and_a_model_its_routes() -> None:
    """A price that nobody knows is said; so is why calls went elsewhere."""
    rows = models.lines([samples.provider_row()], [samples.model_row()])
    text = read(models.blocks(rows[0], moment()))
    assert "$0.40 in, $1.60 out" in text
    assert "price unknown: refused under strict budgets" in text
    text = read(models.blocks(rows[1], moment()), 100)
    assert "3  large-careful  contract  3 of 20 tool calls failed (15 % > 5 %)" in text
    assert "overseas  small-1  not declared" in text
    assert "team, 1 h: 10 answers kept from before" in text


def test_a_kill_in_the_money_panes_is_as_narrow_as_the_row() -> None:
    """A provider, a model, an agent's version."""
    rows = models.lines([samples.provider_row()], [samples.model_row()])
    assert locks.target_of(rows[0]).kind == "provider"
    assert locks.target_of(rows[1]).kind == "model"
    assert locks.target_of(samples.budget_row(scope="model/small-fast")).name == "small-fast"
    version = locks.target_of(samples.budget_row(scope="version/refund-assistant@3"))
    assert (version.kind, version.name) == ("version", "refund-assistant@3")


def test_a_need_of_money_leads_to_where_it_is_dealt_with() -> None:
    """A breaker is closed where it is told of; a provider that is down leads to the models."""
    breaker = samples.need(kind="breaker", need="breaker/fleet/x", subject="fleet/x")
    assert needs.place_of(breaker)[0] == "watch"
    assert needs.cells(breaker, moment())["do"].text == "close"
    provider = samples.need(kind="upstream", need="provider/local", subject="local")
    assert needs.place_of(provider) == ("models", "provider/local")
