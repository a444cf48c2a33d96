"""`doctor`: whether an agent is really governed here, found out by what must be refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.enrolling import FILE, FRAMEWORK
from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.output import fail, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.errors import WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.cli.findings import Finding


@click.command(short_help="Check that an agent is really governed, by what must be refused.")
@click.argument("agent")
@FRAMEWORK
@FILE
@speaks()
def doctor(session: Session, agent: str, framework: str | None, file: Path | None) -> None:
    """Check that an agent of this machine is governed: probes that must be refused are refused.

    With --framework through the very settings that it uses: its hooks are run with a probe, and
    once more as if the plane were gone. Ends with 1 if anything is not as it must be.
    """
    findings = []
    try:
        for finding in _findings(session, agent, framework, file):
            findings.append(finding)
            if not session.json:
                word = "ok  " if finding.good else "FAIL"
                say(f"{word}  {finding.what}: {finding.detail}")
                if finding.remedy and not finding.good:
                    say(f"      try: {finding.remedy}")
    except WatchkeeperError as error:
        fail(error)
    bad = sum(not finding.good for finding in findings)
    if session.json:
        rows = [{"what": f.what, "good": f.good, "detail": f.detail} for f in findings]
        click.echo(json.dumps({"agent": agent, "governed": not bad, "checks": rows}, indent=2))
    elif bad:
        say(f"{agent} is NOT governed as it should be: {bad} of {len(findings)} checks failed")
    else:
        say(f"{agent} is governed: {len(findings)} checks passed")
    sys.exit(REFUSED if bad else 0)


def _findings(
    session: Session, agent: str, framework: str | None, file: Path | None
) -> Iterator[Finding]:
    from watchkeeper.cli import probing
    from watchkeeper.client.enrolments import enrolment_path, read_enrolment

    path = enrolment_path(agent, session.state)
    kept = read_enrolment(path)
    yield probing.look_at_enrolment(kept, path, agent)
    if kept is None:
        return
    run = None
    for finding in probing.look_at_plane(kept):
        yield finding
        run = finding.run or run
        if not finding.good:
            break
    if run is not None:
        yield from probing.probe_gateways(kept, run)
    if framework is not None:
        yield from probing.probe_framework(framework, kept, path, file)
