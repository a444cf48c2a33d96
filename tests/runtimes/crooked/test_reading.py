"""What is read of any answer, and what a path is filled with."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.digest import canonical
from watchkeeper.runtimes.adapters import a2a, llamaindex
from watchkeeper.runtimes.adapters.described import fill_body, fill_path
from watchkeeper.runtimes.adapters.llamaindex_events import Told, take_events
from watchkeeper.runtimes.adapters.reading import arguments_in, at, id_in, time_in
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_filled_path_has_the_segments_of_its_template(run: str, agent: str) -> None:
    places = {"run": run, "agent": agent}
    try:
        filled = fill_path("/a/{agent}/runs/{run}/stop?of={run}", places)
    except (UpstreamFailure, UnicodeEncodeError):
        assert {run, agent} & {".", ".."} or not (run + agent).isprintable()
        return
    found = urlsplit("http://there.example" + filled)
    segments = found.path.split("/")
    assert [*map(unquote, segments)] == ["", "a", agent, "runs", run, "stop"]
    assert (found.netloc, found.fragment) == ("there.example", "")
    assert found.query.count("=") == 1


@pytest.mark.parametrize("value", ["..", "."])
def test_no_place_is_filled_with_dots(value: str) -> None:
    with pytest.raises(UpstreamFailure, match="can't be used"):
        fill_path("/runs/{run}", {"run": value})


def test_a_place_that_is_not_known_is_a_failure() -> None:
    with pytest.raises(UpstreamFailure, match="thread"):
        fill_path("/threads/{thread}", {"run": "r-1"})
    assert fill_body({"a": ["{run}", 1, {"b": "{run}!"}]}, {"run": "r/1"}) == {
        "a": ["r/1", 1, {"b": "r/1!"}]
    }


@given(st.text())
def test_no_word_that_is_not_known_means_that_a_run_has_ended(word: str) -> None:
    for states in (a2a.STATES, llamaindex.STATES):
        if word not in states:
            assert states.get(word, "unknown") not in ENDED
    task = {"id": "t", "status": {"state": word}}
    known = word.removeprefix("TASK_STATE_").lower().replace("_", "-")
    assert (a2a._run_state(task) in ENDED) == (a2a.STATES.get(known) in ENDED)


@given(JSON)
def test_times_and_ids_of_anything_are_bounded(value: Any) -> None:
    row = {"x": value}
    time = time_in(row, "x")
    assert time is None or 0 <= time < 2**53
    id = id_in(row, "x")
    assert id is None or (0 < len(id) <= 200 and id.isprintable())
    assert at(row, "x.y.z") is None or isinstance(value, dict)


@given(JSON)
def test_what_a_person_is_shown_can_be_kept_whole(value: Any) -> None:
    arguments = arguments_in(value)
    if arguments is not None:
        canonical(arguments)
        assert arguments == (value if isinstance(value, dict) else arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T00:00:00Z", 1_795_305_600_000_000),
        ("2026-11-22T01:00:00+01:00", 1_795_305_600_000_000),
        ("2026-11-22T00:00:00", 1_795_305_600_000_000),
        (1_795_305_600, 1_795_305_600_000_000),
        (1_795_305_600_000, 1_795_305_600_000_000),
        (1_795_305_600_000_000, 1_795_305_600_000_000),
        ("9999-12-31T23:59:59Z", None),
        ("yesterday", None),
        (True, None),
    ],
)
def test_a_time_is_read_in_any_of_its_units(text: Any, expected: int | None) -> None:
    assert time_in({"at": text}, "at") == expected


KINDS = (
    b'{"type":"Ask","types":["InputRequiredEvent"],"value":{}}',
    b'{"type":"WorkflowIdleEvent","value":{}}',
    b'{"type":"StepStateChanged","value":{"step_state":"running"}}',
    b'{"type":"InputRequiredEvent","value":{"_data":{"prefix":"?"}}}',
    b'{"type":"StepStateChanged","value":{"step_state":"not_running"}}',
    b'{"type":"StepStateChanged"}',
    b'{"type":3,"types":3}',
    b"[",
)
# most often the next number, now and then one that was there already
EVENTS = st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 0, -1]), st.sampled_from(KINDS)))


@given(EVENTS, EVENTS)
def test_a_question_is_open_only_if_nothing_began_after_it(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]]
) -> None:
    steps = [step for step, _ in before + after]
    numbers = [sum(steps[: n + 1]) for n in range(len(steps))]
    events = [*zip(numbers, (data for _, data in before + after), strict=True)]
    sent = [b"id: %d\ndata: %s\n\n" % event for event in events]
    told = take_events(take_events(Told(), sent[: len(before)]), sent[len(before) :])
    assert told == take_events(Told(), sent)
    heard: list[tuple[int, bytes]] = []
    for number, data in events:
        if number > (heard[-1][0] if heard else -1):
            heard.append((number, data))
    question = told.question
    if question is not None:
        later = [data for number, data in heard if number > question.sequence]
        assert not any(b"StepStateChanged" in data and b"not_running" not in data for data in later)
        assert any(b"WorkflowIdleEvent" in data for _, data in heard)
