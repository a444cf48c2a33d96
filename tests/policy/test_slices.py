"""A slice answers as all policies would, and so does what is remembered of its answers."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.engine import PolicyEngine
from watchkeeper.policy.facts import AgentFacts, ModelFacts, ToolFacts
from watchkeeper.policy.model import PolicyAnswer, Question
from watchkeeper.policy.population import Population
from watchkeeper.policy.schema import CONTEXT, SCHEMA
from watchkeeper.policy.source import check_file, check_set

AGENTS = (
    AgentFacts("payer", "finance", "finance-ops", ("pays",)),
    AgentFacts("helper", "support", "desk", autonomy="propose"),
    AgentFacts("auditor", "finance", "risk"),
)
RESOURCES = (
    ToolFacts("refund", tags=("pci-dss",), access="write", risk="high", reversible=False),
    ToolFacts("export", region="us-east", data_out=("email",)),
    ModelFacts("small", context_window=8000),
    ModelFacts("large", region="us-west"),
)
WORLD = Population(AGENTS, RESOURCES)
PRINCIPALS = (
    "principal",
    'principal == Agent::"payer"',
    'principal == Agent::"nobody"',
    'principal in Namespace::"finance"',
    'principal in Team::"desk"',
    'principal in Agent::"helper"',
    'principal in Namespace::"empty"',
    "principal is Agent",
    'principal is Agent in Namespace::"support"',
)
ACTIONS = (
    "action",
    'action == Action::"use_tool"',
    'action == Action::"call_model"',
    'action in Action::"use_tool"',
    'action in [Action::"use_tool", Action::"call_model"]',
    'action in [Action::"read_memory"]',
)
THINGS = (
    "resource",
    'resource == Tool::"refund"',
    'resource == Tool::"ghost"',
    'resource == Model::"large"',
    'resource in Tool::"export"',
    "resource is Tool",
    'resource is Model in Model::"small"',
)
CONDITIONS = (
    "",
    "when { context.amount_micros > 200 }",
    "when { 200 >= context.amount_micros && context.amount_micros != 7 }",
    "when { context.amount_micros + 1 > context.est_tokens }",
    "when { context.est_tokens > 100 || context.input_tokens == 50 }",
    # an error on large amounts, on any amount, and on none
    "when { context.amount_micros * 9000000000000000000 > 5 }",
    'when { Tool::"ghost".risk == "high" }',
    'when { principal in Namespace::"finance" && Tool::"ghost".risk == "high" }',
    'unless { resource.region like "eu*" }',
    'unless { resource.tags.contains("pci-dss") }',
    'when { context.environment == "production" }',
    'unless { context.approvals.contains("lead") }',
    'when { context.data_classes.contains("email") }',
    'when { context has amount_micros && principal.autonomy == "act" }',
    'when { if context.proven then context.on_behalf_of == "person/ada" else true }',
)
ANNOTATIONS = (
    "",
    "",
    '@obligation("require_approval") @approver_role("lead")',
    '@obligation("redact") @redact("email")',
)


@lru_cache(maxsize=4096)
def usable(policy: str) -> bool:
    """Tell whether a policy passes the checks; many drawn ones could never apply."""
    try:
        check_file("p", policy)
    except Invalid:
        return False
    return True


@st.composite
def policies(draw: st.DrawFn) -> str:
    """One policy that passes the checks."""
    marks = draw(st.sampled_from(ANNOTATIONS))
    effect = "forbid" if marks else draw(st.sampled_from(("permit", "forbid")))
    head = ", ".join(draw(st.sampled_from(part)) for part in (PRINCIPALS, ACTIONS, THINGS))
    return f"{marks}\n{effect} ({head})\n{draw(st.sampled_from(CONDITIONS))};"


PERMIT = "permit (principal, action, resource);"
sets = st.tuples(
    st.lists(policies().filter(usable), min_size=1, max_size=14),
    st.sampled_from((PERMIT, PERMIT, PERMIT, PERMIT.replace("action", ACTIONS[1]))),
).map(
    lambda drawn: "\n".join(f'@id("p{n}")\n{text}' for n, text in enumerate((*drawn[0], drawn[1])))
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """A question on something in force, or on what is not."""
    tool = draw(st.booleans())
    names = ("refund", "export", "ghost") if tool else ("small", "large", "ghost")
    return Question(
        draw(st.sampled_from(("payer", "helper", "auditor", "nobody"))),
        "use_tool" if tool else "call_model",
        "Tool" if tool else "Model",
        draw(st.sampled_from(names)),
        draw(st.sampled_from(("production", "test"))),
        draw(st.sampled_from((0, 7, 8, 199, 200, 201, 10**12))),
        draw(st.sampled_from((0, 50, 51, 100))),
        draw(st.sampled_from((0, 50, 51))),
        approvals=draw(st.sampled_from((frozenset(), frozenset({"lead"})))),
        on_behalf_of=draw(st.sampled_from(("", "person/ada"))),
        proven=draw(st.booleans()),
        data_classes=draw(st.sampled_from((frozenset(), frozenset({"email"})))),
    )


def plain(text: str, question: Question, *, obliging: bool) -> tuple[bool, set[str], int]:
    """Ask all policies of a text at once: permitted, the ids that decided, how many errors."""
    rules = [
        rule for rule in check_file("p", text).rules if bool(rule.annotated.duties) == obliging
    ]
    context: dict[str, Any] = {}
    for name in CONTEXT:
        value = getattr(question, name)
        context[name] = sorted(value) if isinstance(value, frozenset) else value
    said = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": question.agent},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": question.resource_kind, "id": question.resource},
            "context": context,
        },
        "\n".join(rule.text for rule in rules),
        WORLD.entities,
        SCHEMA,
    )
    names = set(said.diagnostics.id_annotations_by_reason.values())
    return said.allowed, names, len(said.diagnostics.errors)


def expected(text: str, question: Question) -> PolicyAnswer | None:
    """Tell what the policies say when all are asked at once; None where a person is asked."""
    allowed, reasons, errors = plain(text, question, obliging=False)
    if errors:
        return PolicyAnswer("deny", "error", "")
    approvals = {f"p{n}" for n in range(99) if f'@id("p{n}")\n@obligation("require' in text}
    if allowed:
        return PolicyAnswer("permit", min(reasons), "")
    if reasons and reasons <= approvals:
        return None
    return PolicyAnswer("deny", min(reasons - approvals, default="none"), "")


def engine_of(text: str) -> PolicyEngine:
    """An engine over the world of these tests."""
    return PolicyEngine(check_set([("p", text)]), WORLD)


@given(sets, st.lists(questions(), min_size=1, max_size=8))
def test_a_slice_and_the_memo_answer_as_all_policies_do(text: str, asked: list[Question]) -> None:
    """Decision, deciding policies and errors are those of the plain engine over everything."""
    shared = engine_of(text)
    for question in (*asked, *asked):
        answer = shared.ask(question)
        assert answer == engine_of(text).ask(question)
        found = shared.slice_of(question)
        if found is None:
            assert answer.verdict == "deny"
            continue
        should = expected(text, question)
        if should is None:
            assert answer.verdict in {"ask", "deny"}
            continue
        _, duties, errors = plain(text, question, obliging=True)
        if should.verdict == "permit" and errors:
            should = PolicyAnswer("deny", "error", "")
        assert (answer.verdict, answer.policy) == (should.verdict, should.policy)
        if answer.verdict == "permit":
            assert {duty.policy for duty in answer.duties} == duties


@given(sets, questions(), st.sets(st.sampled_from(("payer", "helper", "refund", "small"))))
def test_what_is_not_in_force_is_never_permitted(
    text: str, question: Question, gone: set[str]
) -> None:
    """Cedar would permit it: a forbid that reads a missing entity errs, and is skipped."""
    engine = PolicyEngine(
        check_set([("p", text)]),
        Population(
            [facts for facts in AGENTS if facts.name not in gone],
            [facts for facts in RESOURCES if facts.name not in gone],
        ),
    )
    known = {facts.name for facts in (*AGENTS, *RESOURCES)} - gone
    answer = engine.ask(question)
    if {question.agent, question.resource} - known:
        assert (answer.verdict, answer.policy) == ("deny", "error")


def test_a_slice_holds_only_what_can_matter() -> None:
    """A policy on another namespace or another tool is not looked at."""
    text = "\n".join(
        f'@id("n{n}") forbid (principal in Namespace::"ns{n}", action, resource);'
        f'@id("t{n}") forbid (principal, action == Action::"use_tool", resource == Tool::"t{n}");'
        for n in range(50)
    )
    found = engine_of(text).slice_of(Question("payer", "use_tool", "Tool", "refund", "production"))
    assert found is not None
    assert [rule.annotated.policy for rule in found.rules] == ["contract-allows"]


def test_a_memo_keeps_apart_what_a_line_divides() -> None:
    """On the line, below and above it are three questions; two amounts above are one."""
    text = "forbid (principal, action, resource) when { context.amount_micros > 200 };"
    engine = engine_of(text)
    said = {
        amount: engine.ask(
            Question("payer", "use_tool", "Tool", "refund", "production", amount)
        ).verdict
        for amount in (0, 199, 200, 201, 10**9)
    }
    assert said == {0: "permit", 199: "permit", 200: "permit", 201: "deny", 10**9: "deny"}
    assert len(engine._memo) == 3


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        ('@obligation("route")', "route_to"),
        ('@obligation("route") @route_to("Large Model")', "not a model"),
        ('@obligation("redact") @redact("")', "no class of data"),
        ('@obligation("redact") @redact("email") @sla("5m")', "@sla has no meaning"),
        ('@obligation("degrade")', "says not to what"),
        ('@obligation("degrade") @max_output_tokens("0")', "not a number of tokens"),
        ('@obligation("whisper")', "'whisper'"),
        (
            '@obligation("require_approval") @approver_role("lead") @quorum("2 of ops")',
            "does not name the role",
        ),
        (
            '@obligation("require_approval") @approver_role("lead") @quorum("1 of lead and 1 of '
            'lead")',
            "names a role twice",
        ),
        (
            '@obligation("require_approval") @approver_role("lead") @quorum("two")',
            "not a quorum",
        ),
    ],
)
def test_an_obligation_that_could_be_misread_is_refused(marks: str, says: str) -> None:
    """With the file and the line."""
    with pytest.raises(Invalid) as caught:
        check_file("p", f"\n{marks}\nforbid (principal, action, resource);")
    assert says in caught.value.message
    assert caught.value.where == "p.cedar:3"


def test_the_schema_takes_every_entity_that_the_facts_make() -> None:
    """What nobody has said of a tool is an attribute that its entity lacks."""
    cedarpy.Schema.from_str(SCHEMA)
    text = (
        "forbid (principal, action, resource is Tool) "
        "unless { resource has reversible && resource.reversible };"
    )
    answer = engine_of(text).ask(Question("payer", "use_tool", "Tool", "export", "production"))
    assert answer.verdict == "deny"
    assert "data_in" in json.dumps(SCHEMA)
