"""The headless report in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.core.text import make_safe


def write_report(report: Mapping[str, Any]) -> str:
    """Return the report as lines for people."""
    runs, calls, asked = report["runs"], report["calls"], report["approvals"]
    refunds, upstream = report["refunds"], report["upstream_calls"]
    lines = [
        f"{report['agents']} agents worked for {report['seconds']:g} s and spent {report['spend']}",
        f"runs       {runs['opened']} opened, {runs['succeeded']} succeeded, "
        f"{runs['failed']} failed, {runs['at_work_when_it_ended']} still at work at the end",
        f"calls      {calls['permitted']} permitted, {calls['held']} held, "
        f"{calls['denied']} denied",
        *(f"             {count:>4} by {rule}" for rule, count in calls["denied_by_rule"].items()),
        f"approvals  {asked['requested']} asked for; decided by {asked['decided_by']}: "
        f"{asked['approved']} approved, {asked['rejected']} rejected, {asked['expired']} expired",
        f"models     {_counts(report['models']['answered_by'])}; "
        f"{report['models']['sent_again']} sent again, "
        f"{report['models']['kept_answers']} answers kept from before; "
        f"led: {_counts(report['models']['led_by'])}",
        f"breakers   {report['breakers']['opened']} opened, {report['breakers']['closed']} closed",
        f"budgets    {report['budgets_exhausted']} exhausted, "
        f"{report['budgets_topped_up']} topped up",
        f"refunds    {refunds['executed']} executed for {refunds['amount']}, "
        f"{refunds['with_approval']} with their approval",
        f"tools      {upstream['executed']} calls reached them, "
        f"{upstream['with_event']} with their event in the ledger",
        f"ledger     {report['audit']['entries']} entries, "
        f"{'verified' if report['audit']['ok'] else report['audit']['what']}",
    ]
    for problem in (*refunds["without_approval"], *upstream["without_event"]):
        lines.append(f"! does not add up: {problem}")
    for check, good in report["checks"].items():
        lines.append(f"{'ok  ' if good else 'FAIL'} {check.replace('_', ' ')}")
    return "\n".join(str(make_safe(line)) for line in lines)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counted.items()) or "none"
