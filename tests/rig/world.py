"""A small governed world for tests: one agent, its tools and model, and who is asked.

`clerk` may read charges and refund them. Refunds of more than $200 need `finance-ops`, then
`finance-lead`; nothing above $1,000 is ever refunded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

AGENT = """
agent:
  name: {name}
  owner: {owner}
  namespace: {namespace}
  mission: Answer customers who ask for their money back.
  model_routing: {{default: small-fast}}
  budgets: {budgets}
  tools:
    allowlist: [{allowlist}]
  approvals: {{role: finance-ops, escalation: finance, sla_seconds: 900, hold_seconds: {hold}}}
  identity: {{mode: own, token_ttl_seconds: 900}}
"""

CONTRACT = """\
agent:
  name: refund-assistant
  owner: finance-ops
  model_routing:
    default: small-fast
    escalate_on:
      - tool_error_rate_gt: 0.05
      - amount_usd_ge: 200
  budgets:
    max_steps: 12
    max_input_tokens: 12000
    max_output_tokens: 1500
    max_cost_usd_per_run: 0.75
  tools:
    allowlist:
      - name: zendesk.read_ticket
      - name: stripe.lookup_charge
      - name: stripe.create_refund
        requires_approval: true
  identity:
    mode: on_behalf_of
    token_ttl_seconds: 900
  logging:
    trace_level: full
    pii_redaction: strict
"""
"""A contract as a team wrote it, with every section it may have."""

TOOLS = """
tool:
  name: books.lookup_charge
  upstream: books
  upstream_tool: lookup_charge
  does: Read one charge.
  access: read
  risk: low
---
tool:
  name: books.create_refund
  upstream: books
  upstream_tool: create_refund
  does: Refund part or all of a charge.
  access: write
  risk: high
  amount_usd: amount_usd
  business_object: {kind: charge, id: charge_id}
  blast_radius: One charge of one customer.
  rollback: Refunds cannot be taken back; charge again with the customer's consent.
  input_schema:
    type: object
    properties:
      charge_id: {type: string, pattern: "^ch_[0-9]+$"}
      amount_usd: {type: number, exclusiveMinimum: 0}
      reason: {type: string, maxLength: 500}
    required: [charge_id, amount_usd]
    additionalProperties: false
  never:
    - {argument: reason, pattern: "gift ?card", why: Refunds go back the way the money came.}
  preview:
    tool: books.lookup_charge
    arguments: {charge_id: charge_id}
    changes: [{field: refunded_usd, after: amount_usd}]
---
tool:
  name: books.fail
  upstream: books
  upstream_tool: fail
  does: Always fails.
  access: read
  risk: low
---
tool:
  name: books.wait
  upstream: books
  upstream_tool: wait_until_told
  does: Waits.
  access: read
  risk: low
---
tool:
  name: books.hostile
  upstream: books
  upstream_tool: hostile
  does: Answers badly.
  access: read
  risk: low
---
tool:
  name: books.echo
  upstream: books
  upstream_tool: echo
  does: Repeats.
  access: read
  risk: low
---
tool:
  name: books.close_account
  upstream: books
  upstream_tool: echo
  does: Closes the account.
  access: write
  risk: critical
"""

PEOPLE = """
role: {name: finance-ops, members: [owner, grace]}
---
role: {name: finance-lead, members: [owner, edsger]}
---
escalation:
  name: finance
  remind_every_seconds: 120
  levels:
    - {role: finance-ops, after_seconds: 0}
    - {role: finance-lead, after_seconds: 300}
"""

MODELS = """
provider:
  name: local
  base_url: %s
  models:
    - name: small-1
      input_usd_per_million: 0.40
      output_usd_per_million: 1.60
      context_window: 1000000
---
model: {name: small-fast, provider: local, provider_model: small-1}
"""

POLICY = """
@id("contracts-permit")
permit (principal, action, resource);

@id("refund-over-200")
@message("A refund of more than $200 needs finance-ops.")
@obligation("require_approval")
@approver_role("finance-ops")
@escalation("finance")
@sla("15m")
@risk("high")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros > 200000000 }
unless { context.approvals.contains("finance-ops") };

@id("refund-never-over-1000")
@message("No agent refunds more than $1,000.")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros > 1000000000 };
"""

CLERK_TOOLS = ("lookup_charge", "create_refund", "fail", "wait", "hostile", "echo")
AMPLE = {
    "max_steps": 1_000_000,
    "max_input_tokens": 1_000_000_000,
    "max_output_tokens": 1_000_000_000,
    "max_cost_usd_per_run": 100_000,
}


def agent_document(
    name: str = "clerk",
    *,
    owner: str = "finance-ops",
    tools: Sequence[str] = CLERK_TOOLS,
    budgets: dict[str, float] | None = None,
    namespace: str = "default",
    hold_seconds: int = 0,
) -> str:
    """Return an agent contract; budgets are per run and ample unless given."""
    return AGENT.format(
        name=name,
        owner=owner,
        namespace=namespace,
        budgets=json.dumps(budgets if budgets is not None else AMPLE),
        allowlist=", ".join(f"{{name: books.{tool}}}" for tool in tools),
        hold=hold_seconds,
    )


def upstream_document(*, url: str = "", command: Sequence[str] = (), credential: str = "") -> str:
    """Return the upstream `books`, over HTTP or stdio; `credential` is a reference."""
    document: dict[str, object] = {"name": "books", "transport": "http" if url else "stdio"}
    document |= {"url": url} if url else {"command": list(command)}
    if credential:
        document["credential"] = {"from": credential, "environment": "UPSTREAM_CREDENTIAL"}
    return json.dumps({"upstream": document})


def provider_document(url: str) -> str:
    """Return the provider and the logical model over it."""
    return MODELS % url


def budget_document(name: str, scope: str, period: str = "day", **limits: float) -> str:
    """Return one standing budget, e.g. `budget_document("day", "all", spend_usd=2)`."""
    return json.dumps(
        {"budget": {"name": name, "scope": scope, "period": period, "limits": limits}}
    )


def world(
    *more: str,
    upstream: str = "",
    provider_url: str = "http://127.0.0.1:9/v1",
    agent: str | None = None,
) -> list[str]:
    """Return the documents of the whole world; pair it with `POLICY` in a Cedar file.

    Without an upstream the tools point at a port where nobody listens, which is all that
    decisions need.
    """
    return [
        agent if agent is not None else agent_document(),
        TOOLS,
        PEOPLE,
        upstream or upstream_document(url="http://127.0.0.1:9/mcp"),
        provider_document(provider_url),
        *more,
    ]
