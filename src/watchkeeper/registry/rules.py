"""What applying a directory would change: a pure function of what is wanted and what stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Invalid
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.display import fields_of
from watchkeeper.registry.documents import Document, Role, ToolContract
from watchkeeper.registry.people import Person
from watchkeeper.registry.providers import LogicalModel, Provider
from watchkeeper.registry.routes import route_gaps
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.registry.source import Sourced
from watchkeeper.registry.watch import Escalation, RiskClass, roles_in
from watchkeeper.wire.permissions import BUILT_IN_ROLES

Key = tuple[str, str]
"""Kind and name of a document."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A document as it is in force."""

    kind: str
    name: str
    version: int
    digest: str
    path: str
    text: str
    document: Document


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan."""

    change: Literal["create", "update", "delete", "unchanged"]
    kind: str
    name: str
    path: str
    diff: str
    digest: str
    wanted: Sourced | None


def document_digest(kind: str, document: Document) -> str:
    """Return the digest of what a document means; layout and comments don't count.

    What is left at its default is left out: a field that a later version adds changes no digest.
    """
    return digest(f"watchkeeper/{kind}/v1", meaning_of(document))


def meaning_of(document: Document) -> dict[str, Any]:
    """Return what a document's digest is of."""
    return document.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def plan(
    wanted: Sequence[Sourced], standing: Mapping[Key, InForce], *, prune: bool
) -> list[Change]:
    """Return what applying `wanted` would change, sorted by kind and name.

    Raises `Invalid` when two files define the same document.
    """
    by_key: dict[Key, Sourced] = {}
    for source in wanted:
        key = (source.kind, source.name)
        if key in by_key:
            raise Invalid(
                f"{source.kind} {source.name!r} is defined in {by_key[key].path} already",
                where=source.path,
            )
        by_key[key] = source
    changes = [_compare(source, standing.get(key)) for key, source in by_key.items()]
    if prune:
        changes += [
            Change(
                "delete",
                old.kind,
                old.name,
                old.path,
                _diff(old.text, ""),
                old.digest,
                None,
            )
            for key, old in standing.items()
            if key not in by_key
        ]
    return sorted(changes, key=lambda change: (change.kind, change.name))


def plan_digest(changes: Iterable[Change]) -> str:
    """Return a digest of a plan, so that what is applied is what was shown."""
    return digest(
        "watchkeeper/plan/v1",
        [[c.change, c.kind, c.name, c.digest] for c in changes if c.change != "unchanged"],
    )


def _compare(source: Sourced, old: InForce | None) -> Change:
    new_digest = document_digest(source.kind, source.document)
    if old is None:
        verb: Literal["create", "update", "unchanged"] = "create"
    else:
        verb = "unchanged" if old.digest == new_digest else "update"
    before = old.text if old else ""
    after = source.text
    shown = "" if verb == "unchanged" else _diff(before, after)
    return Change(verb, source.kind, source.name, source.path, shown, new_digest, source)


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "in force", "wanted", lineterm="", n=2
    )
    return "\n".join(lines)


def find_gaps(documents: Mapping[Key, Document]) -> list[str]:
    """Return, in words, every reference that leads nowhere.

    A gap is no error: files arrive in any order, and an action that needs what is missing
    is refused when it is asked for. It is shown with the plan.
    """
    gaps = []
    for key, document in documents.items():
        for kind, name, field in _references(document):
            if (kind, name) not in documents:
                gaps.append(
                    f"{key[0]} {key[1]!r}: {field} names {kind} {name!r}, which does not exist; "
                    "what needs it is refused until it does"
                )
        if isinstance(document, LogicalModel):
            for target in document.served_by:
                provider = documents.get(("provider", target.provider))
                if isinstance(provider, Provider) and target.model not in {
                    model.name for model in provider.models
                }:
                    gaps.append(
                        f"model {document.name!r}: provider {provider.name!r} lists no "
                        f"{target.model!r}; no call goes there"
                    )
        if isinstance(document, ToolContract):
            gaps += _argument_gaps(document)
        if isinstance(document, Runtime):
            gaps += _owner_gaps(document, documents)
        if isinstance(document, AgentContract) and document.approvals.timeout == "allow":
            gaps += _timeout_gaps(document, documents)
    return [*gaps, *route_gaps(documents)]


def _owner_gaps(runtime: Runtime, documents: Mapping[Key, Document]) -> Iterable[str]:
    """Say that nobody is a runtime's owner: what is found there is told to the plane's."""
    owners = (one.owner for one in documents.values() if isinstance(one, AgentContract))
    if runtime.owner and ("role", runtime.owner) not in documents and runtime.owner not in owners:
        yield (
            f"runtime {runtime.name!r}: owner names {runtime.owner!r}, which is neither a role nor "
            "a team that owns agents; the plane's owner is told instead"
        )


def _timeout_gaps(agent: AgentContract, documents: Mapping[Key, Document]) -> Iterable[str]:
    """Say which of an agent's tools time alone never lets run, whatever the contract says."""
    for allowed in agent.tools.allowlist:
        tool = documents.get(("tool", allowed.name))
        if isinstance(tool, ToolContract) and tool.risk != "low":
            yield (
                f"agent {agent.name!r}: approvals.timeout is allow, but {tool.name!r} is of "
                f"{tool.risk} risk: nobody decides in time, and it is denied"
            )


def _argument_gaps(tool: ToolContract) -> Iterable[str]:
    """Say which arguments a tool's contract names that its schema does not let it have."""
    schema = tool.input_schema or {}
    arguments = schema.get("properties")
    if not isinstance(arguments, dict) or schema.get("additionalProperties", True) is not False:
        return
    named = [("amount_usd", tool.amount_usd)]
    if tool.business_object is not None:
        named.append(("business_object.id", tool.business_object.id))
    named += [("never.argument", never.argument) for never in tool.never]
    for field, preview in (("preview", tool.preview), ("blast_preview", tool.blast_preview)):
        if preview is not None:
            named += [(f"{field}.arguments", name) for name in preview.arguments.values()]
            named += [(f"{field}.changes.after", change.after) for change in preview.changes]
    if tool.display is not None:
        named += [("display", name) for name in fields_of(tool.display)]
    for field, name in named:
        if name and name.split(".")[0] not in arguments:
            yield (
                f"tool {tool.name!r}: {field} names the argument {name!r}, which its "
                f"input_schema does not have; it has {', '.join(map(str, arguments)) or 'none'}"
            )


def _references(document: Document) -> Iterable[tuple[str, str, str]]:
    if isinstance(document, AgentContract):
        yield from (("tool", t.name, "tools.allowlist") for t in document.tools.allowlist)
        if document.model_routing:
            yield from (("model", name, "model_routing") for name in document.model_routing.models)
        if document.approvals.escalation:
            yield "escalation", document.approvals.escalation, "approvals.escalation"
        if document.approvals.role:
            yield "role", document.approvals.role, "approvals.role"
        yield from (
            ("webhook", name, "approvals.callbacks") for name in document.approvals.callbacks
        )
        identity = document.identity
        yield from (("agent", name, "identity.delegates_to") for name in identity.delegates_to)
        yield from (("issuer", one.issuer, "identity.workloads") for one in identity.workloads)
    elif isinstance(document, ToolContract):
        if document.upstream:
            yield "upstream", document.upstream, "upstream"
        if document.preview:
            yield "tool", document.preview.tool, "preview.tool"
        if document.blast_preview:
            yield "tool", document.blast_preview.tool, "blast_preview.tool"
        if document.approval:
            yield "role", document.approval.role, "approval.role"
            if document.approval.escalation:
                yield "escalation", document.approval.escalation, "approval.escalation"
            yield from (
                ("role", role, "approval.quorum") for role in roles_in(document.approval.quorum)
            )
    elif isinstance(document, LogicalModel):
        yield from (("provider", one.provider, "targets") for one in document.served_by)
        yield from (("model", name, "leads_to") for name in document.leads_to)
    else:
        yield from _references_of_people(document)


def _references_of_people(document: Document) -> Iterable[tuple[str, str, str]]:
    if isinstance(document, Person):
        roles = (one.role for one in document.operates if one.role not in BUILT_IN_ROLES)
        yield from (("operator_role", role, "operates.role") for role in roles)
        yield from (("issuer", one.issuer, "oidc.issuer") for one in document.oidc)
        yield from (("channel", one.channel, "contacts.channel") for one in document.contacts)
    elif isinstance(document, Role):
        yield from (("schedule", name, "schedules") for name in document.schedules)
    elif isinstance(document, Escalation):
        for level in document.levels:
            if level.role:
                yield "role", level.role, "levels.role"
            if level.channel:
                yield "channel", level.channel, "levels.channel"
    elif isinstance(document, RiskClass):
        yield from (("role", role, "quorum") for role in roles_in(document.quorum))
        if document.role:
            yield "role", document.role, "role"
        if document.escalation:
            yield "escalation", document.escalation, "escalation"
    elif isinstance(document, Runtime):
        yield from (("agent", one.agent, "agents.agent") for one in document.agents)
