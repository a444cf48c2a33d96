"""Checking and testing a directory without a plane: the same reading, the same path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue, build_catalogue
from watchkeeper.decide.policies.applying import after_plan, gaps_of, read_files
from watchkeeper.decide.replay.cases import run_cases, undecided
from watchkeeper.policy.model import Question
from watchkeeper.policy.source import check_file
from watchkeeper.registry.cases import is_cases, read_cases
from watchkeeper.registry.documents import Policy
from watchkeeper.registry.rules import InForce, Key, plan
from watchkeeper.registry.source import Sourced, read_file
from watchkeeper.wire.policy import CaseReport, CaseRow, CheckReport, Finding

Files = Sequence[tuple[str, str]]


def rehearse_directory(files: Files, now: int) -> CaseReport:
    """Run the cases of (path, text) pairs over what the others would put in force.

    Raises `Invalid` that points at file, line and field where they can't be read.
    """
    catalogue = build_catalogue(_stand(read_files(files)))
    results = run_cases(catalogue, read_cases(files), now)
    failed = sum(not result.passed for result in results)
    return CaseReport(
        cases=tuple(
            CaseRow(
                name=result.name,
                where=result.where,
                passed=result.passed,
                expected=result.expected,
                came=result.came,
                reason=result.reason,
                rule=result.rule,
            )
            for result in results
        ),
        passed=len(results) - failed,
        failed=failed,
        undecided=tuple(undecided(catalogue, results)),
    )


def check_directory(files: Files) -> CheckReport:
    """Return everything that is wrong, missing or without effect in (path, text) pairs."""
    findings: list[Finding] = []
    sources: list[Sourced] = []
    cases = 0
    for path, text in files:
        try:
            if is_cases(path):
                cases += len(read_cases([(path, text)]))
                continue
            read = read_file(path, text)
            for source in read:
                if isinstance(source.document, Policy):
                    check_file(source.name, source.document.text, path)
            sources += read
        except Invalid as error:
            findings.append(_error(error, path))
    if not findings:
        try:
            standing = _stand(sources)
            catalogue = build_catalogue(standing)
        except Invalid as error:
            findings.append(_error(error, ""))
        else:
            findings += [
                Finding(severity="warning", where="", message=gap) for gap in gaps_of(standing)
            ]
            findings += _hints(catalogue)
    return CheckReport(
        documents=len(sources),
        policies=sum(source.kind == "policy" for source in sources),
        cases=cases,
        findings=tuple(findings),
    )


def _stand(wanted: Sequence[Sourced]) -> dict[Key, InForce]:
    return after_plan({}, plan(wanted, {}, prune=False))


def _error(error: Invalid, path: str) -> Finding:
    return Finding(
        severity="error",
        where=error.where or path,
        message=error.message,
        remedy=error.remedy,
    )


def _hints(catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what is in order and has no effect: what no contract lets any agent use, and
    policies whose scope holds for nothing that a contract lets an agent do.
    """
    allowed = {tool for agent in catalogue.agents.values() for tool in agent.tools}
    for name in sorted(catalogue.tools.keys() - allowed):
        yield Finding(
            severity="hint",
            where="",
            message=f"tool {name!r}: no contract lets any agent use it",
        )
    reached = {
        rule.annotated.policy
        for question in _questions(catalogue)
        for found in (catalogue.engine.slice_of(question),)
        for rule in (found.rules if found else ())
    }
    for governed in catalogue.policies.values():
        for rule in governed.file.rules:
            if rule.annotated.policy not in reached:
                yield Finding(
                    severity="hint",
                    where=f"{governed.path}:{rule.line}" if rule.line else governed.path,
                    message=f"policy {rule.annotated.policy!r}: no contract lets any agent do "
                    "what its scope names, so it never decides",
                )


def _questions(catalogue: Catalogue) -> Iterator[Question]:
    """Yield everything that contracts let agents ask for, by name."""
    for name, agent in catalogue.agents.items():
        for tool in agent.tools:
            yield Question(name, "use_tool", "Tool", tool, "")
        for model in catalogue.reached_by(name):
            yield Question(name, "call_model", "Model", model, "")
