"""`watchkeeper policy test` and `policy check`: a directory alone, no plane needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe

if TYPE_CHECKING:
    from pydantic import BaseModel

    from watchkeeper.wire.policy import CaseReport, CheckReport

_FAILED = 1
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_DIRECTORY = click.argument("directory", default=".", metavar="[DIR]")


@click.command(short_help="Run the cases beside policies.")
@_DIRECTORY
@_JSON
def test(directory: str, as_json: bool) -> None:
    """Run the cases of a directory through the decision path.

    Cases stand in *.cases.yaml files beside the policies and contracts they are about. No
    plane is needed and nothing is changed. Exit 1 if a case fails.
    """
    from watchkeeper.decide.policies.checking import rehearse_directory

    files = _read(directory)
    try:
        report = rehearse_directory(files, SystemClock().now())
    except Invalid as error:
        _fail(error)
    if as_json:
        _print_json(report)
    else:
        _show_cases(report)
    sys.exit(_FAILED if report.failed else 0)


@click.command(short_help="Check policies, contracts and cases.")
@_DIRECTORY
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@_JSON
def check(directory: str, strict: bool, as_json: bool) -> None:
    """Check every file of a directory against its schema.

    Errors come with file and line. Warnings are names that nothing bears; hints are what
    stands in order and has no effect. No plane is needed. Exit 1 for errors.
    """
    from watchkeeper.decide.policies.checking import check_directory

    report = check_directory(_read(directory))
    if as_json:
        _print_json(report)
    else:
        _show_findings(report)
    bad = {"error", "warning"} if strict else {"error"}
    sys.exit(_FAILED if any(one.severity in bad for one in report.findings) else 0)


def _read(directory: str) -> list[tuple[str, str]]:
    from watchkeeper.client.directory import read_directory

    try:
        return [(file.path, file.text) for file in read_directory(Path(directory))]
    except Invalid as error:
        _fail(error)


def _show_cases(report: CaseReport) -> None:
    for case in report.cases:
        if case.passed:
            _say(f"ok    {case.where}  {case.name}: {case.came}")
        else:
            _say(f"FAIL  {case.where}  {case.name}")
            _say(f"      expected  {case.expected}")
            _say(f"      came      {case.came}")
            _say(f"                {case.reason}")
    if report.undecided:
        _say(f"! no case reaches: {', '.join(report.undecided)}")
    failed = f", {report.failed} failed" if report.failed else ""
    _say(f"{len(report.cases)} cases: {report.passed} ok{failed}.")


def _show_findings(report: CheckReport) -> None:
    for one in report.findings:
        where = f"{one.where}: " if one.where else ""
        _say(f"{where}{one.severity}: {one.message}")
        if one.remedy:
            _say(f"  try:  {one.remedy}")
    counts = {
        kind: sum(one.severity == kind for one in report.findings)
        for kind in ("error", "warning", "hint")
    }
    found = ", ".join(f"{n} {kind}{'s' * (n != 1)}" for kind, n in counts.items() if n)
    _say(
        f"{report.documents} documents, {report.policies} of them policy files, "
        f"{report.cases} cases: {found or 'all in order'}."
    )


def _say(text: str) -> None:
    click.echo(make_safe(text))


def _print_json(report: BaseModel) -> None:
    click.echo(report.model_dump_json(indent=2, ensure_ascii=True).replace("\x7f", "\\u007f"))


def _fail(error: Invalid) -> NoReturn:
    click.echo(f"watchkeeper: {make_safe(error)}", err=True)
    sys.exit(_FAILED)
