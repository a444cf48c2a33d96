"""Policies permit, deny, or ask for an approval; any doubt denies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.engine import PolicyEngine
from watchkeeper.policy.facts import AgentFacts, ToolFacts
from watchkeeper.policy.model import Question
from watchkeeper.policy.population import Population
from watchkeeper.policy.source import check_set

REFUNDS = """
@id("refund-over-200")
@message("refunds over $200 need finance-ops")
@obligation("require_approval") @approver_role("finance-ops") @sla("15m") @risk("high")
forbid(principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
  when { context.amount_micros > 200000000 }
  unless { context.approvals.contains("finance-ops") };

@id("refund-over-1000")
@obligation("require_approval") @approver_role("finance-lead") @risk("critical")
forbid(principal, action == Action::"use_tool", resource == Tool::"stripe.create_refund")
  when { context.amount_micros > 1000000000 }
  unless { context.approvals.contains("finance-lead") };

@id("eu-only")
forbid(principal, action, resource) unless { resource.region like "eu*" };
"""


def engine(text: str = REFUNDS) -> PolicyEngine:
    """An engine with one agent and two tools, one of them outside the EU."""
    return PolicyEngine(
        check_set([("refunds", text)]),
        Population(
            [AgentFacts("refund-assistant", "support", "finance-ops")],
            [ToolFacts("stripe.create_refund"), ToolFacts("us.export", region="us-east")],
        ),
    )


def refund(dollars: int, tool: str = "stripe.create_refund") -> Question:
    """The question of a refund of so many dollars."""
    return Question("refund-assistant", "use_tool", "Tool", tool, "production", dollars * 1_000_000)


def test_permits_below_the_line_and_asks_above_it() -> None:
    """The deciding policy is named with its message and its obligation."""
    assert engine().ask(refund(200)).verdict == "permit"
    answer = engine().ask(refund(201))
    assert (answer.verdict, answer.policy) == ("ask", "refund-over-200")
    assert answer.asks[0].role == "finance-ops"
    assert answer.asks[0].sla_seconds == 900


def test_the_strictest_of_several_obligations_comes_first() -> None:
    """A critical ask names the role, and every policy that asked is told."""
    answer = engine().ask(refund(4000))
    assert [ask.policy for ask in answer.asks] == ["refund-over-1000", "refund-over-200"]


def test_a_plain_forbid_wins_over_any_obligation() -> None:
    """Nobody is asked about what is forbidden anyway."""
    answer = engine().ask(refund(4000, "us.export"))
    assert (answer.verdict, answer.policy) == ("deny", "eu-only")


def test_an_error_in_any_policy_denies() -> None:
    """Cedar would skip the forbid that erred and permit."""
    answer = engine().ask(refund(1, "unknown.tool"))
    assert (answer.verdict, answer.policy) == ("deny", "error")


def test_an_approval_that_would_not_help_is_never_asked_for() -> None:
    """A policy that forgets to accept the approval it asks for denies at once."""
    vain = REFUNDS.replace('unless { context.approvals.contains("finance-ops") };', ";", 1)
    answer = engine(vain).ask(refund(300))
    assert answer.verdict == "deny"
    assert "does not accept" in answer.message


def test_an_applied_permit_replaces_the_base_permit() -> None:
    """Whoever writes permits gets default deny."""
    text = 'permit(principal, action == Action::"call_model", resource);'
    assert engine(text).ask(refund(1)).policy == "none"


@given(st.integers(0, 10**12), st.sampled_from(["stripe.create_refund", "us.export", "no.such"]))
def test_the_memo_answers_as_the_engine_does(micros: int, tool: str) -> None:
    """Asking again, or with what no policy reads changed, gives the same answer."""
    shared = engine()
    question = Question(
        "refund-assistant", "use_tool", "Tool", tool, "production", micros, input_tokens=7
    )
    first = shared.ask(question)
    assert shared.ask(question) == first == engine().ask(question)


def test_a_question_is_read_again_as_it_was_put() -> None:
    """What is at its default is left out, so that a later attribute changes no old record."""
    question = Question(
        "a", "call_model", "Model", "m", "production", 7, 8, 9,
        approvals=frozenset({"b", "a"}), proven=True, data_classes=frozenset({"email"}),
    )  # fmt: skip
    assert Question.read(question.text()) == question
    assert "object_id" not in question.text()
    for text in ("[]", '{"agent":"a"}', '{"nope":1}', "{"):
        with pytest.raises(Invalid):
            Question.read(text)


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("permit(principal, action resource);", "p.cedar:1", "not Cedar"),
        (
            "permit(principal, action, resource);\n"
            '@id("b")\n'
            "forbid(principal action, resource);\n"
            '@id("c")\n'
            "forbid(principal, action, resource);",
            "p.cedar:3",
            "not Cedar",
        ),
        (
            'permit(principal, action, resource);\n@id("b")\nforbid principal;',
            "p.cedar:3",
            "not Cedar",
        ),
        ("\n\npermit(principal, action, resource) when { context.nope > 1 };", "p.cedar:3", "nope"),
        (
            '@obligation("require_approval") permit(principal, action, resource);',
            "p.cedar:1",
            "on a permit",
        ),
        ('@mesage("x")\npermit(principal, action, resource);', "p.cedar:2", "@mesage"),
        (
            '@id("a") permit(principal, action, resource);\n'
            '@id("b") @obligation("require_approval") @approver_role("x") @sla("soon")\n'
            "forbid(principal, action, resource);",
            "p.cedar:3",
            "duration",
        ),
    ],
)
def test_a_mistake_in_a_policy_is_placed(text: str, where: str, says: str) -> None:
    """File and line of the mistake, in words."""
    with pytest.raises(Invalid) as caught:
        check_set([("p", text)])
    assert caught.value.where == where
    assert says in caught.value.message


def test_two_policies_may_not_share_an_id() -> None:
    """A refusal names its policy, so names are unique."""
    one = '@id("same") permit(principal, action, resource);'
    with pytest.raises(Invalid, match="same"):
        check_set([("a", one), ("b", one)])


@pytest.mark.parametrize(
    "name", ['("")', "", '("' + "x" * 121 + '")', '("a\\u{1b}[31m")', '("a\\n")']
)
def test_an_id_that_names_nothing_is_refused(name: str) -> None:
    """Every decision says which policy made it, on screens too."""
    with pytest.raises(Invalid, match="@id") as caught:
        check_set([("p", f"@id{name}\npermit(principal, action, resource);")])
    assert caught.value.where == "p.cedar:2"
