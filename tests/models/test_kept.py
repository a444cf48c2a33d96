"""Kept answers: never another's, never too old, never too many."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from watchkeeper.models.kept import (
    LARGEST_ANSWER,
    Asked,
    Asker,
    KeptAnswer,
    KeptAnswers,
    Sharing,
    key_of,
)

# a text that could be mistaken for two, or for nothing
NAMES = st.sampled_from(["a", "b", "team", "agent", "a b", 'a","b', "a\0b", "None", "null"])
ASKERS = st.builds(
    Asker,
    agent=NAMES,
    team=NAMES | st.just(""),
    on_behalf_of=NAMES | st.none(),
    environment=NAMES,
    redaction=st.sampled_from(["off", "standard", "strict"]),
)
ASKED = st.builds(
    Asked,
    endpoint=st.sampled_from(["messages", "chat_completions"]),
    call=NAMES,
    model=NAMES,
    answered_by=st.lists(NAMES, max_size=2).map(tuple),
    routing=NAMES,
    ceiling=st.none() | st.integers(0, 2),
    documents=NAMES,
)
SHARINGS: st.SearchStrategy[Sharing] = st.sampled_from(["agent", "team"])
PLAIN = Asked("messages", "c", "m", ("m",), "", 5, "d")


def may_share(sharing: Sharing, one: Asker, other: Asker) -> bool:
    """Say it again in other words, as the documents promise it."""
    same_group = one.agent == other.agent
    if sharing == "team":
        same_group = one.team == other.team if one.team or other.team else same_group
    return (
        same_group
        and one.on_behalf_of == other.on_behalf_of
        and one.environment == other.environment
        and one.redaction == other.redaction
    )


@settings(max_examples=500)
@given(SHARINGS, ASKERS, ASKERS)
def test_nobody_finds_the_answer_of_those_they_may_not_share_with(
    sharing: Sharing, one: Asker, other: Asker
) -> None:
    found = key_of(sharing, one, PLAIN) == key_of(sharing, other, PLAIN)
    assert found == may_share(sharing, one, other)


@settings(max_examples=500)
@given(SHARINGS, SHARINGS, ASKERS, ASKERS, ASKED, ASKED)
def test_whoever_finds_an_answer_asked_for_the_same(
    sharing: Sharing, other_sharing: Sharing, one: Asker, other: Asker, asked: Asked, again: Asked
) -> None:
    if key_of(sharing, one, asked) == key_of(other_sharing, other, again):
        assert asked == again
        assert (one.agent == other.agent) or (one.team == other.team)
        assert one.on_behalf_of == other.on_behalf_of


@given(SHARINGS, ASKERS, ASKED, ASKED)
def test_each_difference_of_a_call_sets_answers_apart(
    sharing: Sharing, asker: Asker, asked: Asked, again: Asked
) -> None:
    for field in fields(Asked):
        changed = replace(asked, **{field.name: getattr(again, field.name)})
        same = key_of(sharing, asker, asked) == key_of(sharing, asker, changed)
        assert same == (changed == asked)


class KeptAnswersMachine(RuleBasedStateMachine):
    """Bounded in bytes and in number, whatever is kept, and never an answer that is too old."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = KeptAnswers(most_bytes=5_000, most_answers=6)
        self.model: dict[str, tuple[KeptAnswer, int]] = {}
        self.now = 0

    @rule(
        key=st.sampled_from("abcdefghij"),
        size=st.integers(0, 3_000),
        ttl=st.integers(1, 20),
        documents=st.sampled_from("xyz"),
    )
    def keep(self, key: str, size: int, ttl: int, documents: str) -> None:
        answer = KeptAnswer(b"w" * size, "text/plain", "m", documents)
        self.kept.keep(key, answer, self.now + ttl)
        self.model[key] = (answer, self.now + ttl)
        assert self.kept.find(key, self.now) == answer, "the newest has room"

    @rule(key=st.sampled_from("abcdefghij"))
    def find(self, key: str) -> None:
        found = self.kept.find(key, self.now)
        if found is not None:
            assert (found, True) == (self.model[key][0], self.model[key][1] > self.now)

    @rule(documents=st.sets(st.sampled_from("xyz")))
    def keep_only(self, documents: set[str]) -> None:
        self.kept.keep_only(documents)
        self.model = {k: one for k, one in self.model.items() if one[0].documents in documents}

    @rule(ticks=st.integers(1, 10))
    def advance(self, ticks: int) -> None:
        self.now += ticks

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.kept) <= 6
        assert 0 <= self.kept.size <= 5_000


TestKeptAnswers = KeptAnswersMachine.TestCase


def test_the_one_that_was_not_asked_for_longest_goes_first() -> None:
    kept = KeptAnswers(most_answers=2)
    answer = KeptAnswer(b"w", "text/plain", "m", "d")
    for key in "ab":
        kept.keep(key, answer, 100)
    assert kept.find("a", 1)
    kept.keep("c", answer, 100)
    assert kept.find("a", 1)
    assert kept.find("b", 1) is None


def test_a_very_long_answer_is_not_kept() -> None:
    kept = KeptAnswers()
    answer = KeptAnswer(b"w", "text/plain", "m", "d")
    kept.keep("a", answer, 100)
    kept.keep("a", replace(answer, body=b"w" * (LARGEST_ANSWER + 1)), 100)
    assert kept.find("a", 1) is None, "the older answer is not the newest any more"
    assert kept.size == 0
