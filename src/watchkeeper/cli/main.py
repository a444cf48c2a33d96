"""`watchkeeper`: finds the command and loads only what it needs."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # not of `typing`, whose import takes longer than a hook has
    from typing import Any

HELP = """\
Usage: watchkeeper [OPTIONS] [COMMAND]

The control plane between your AI agents and what they can touch.
Without a command: the console on this machine's plane, started if none runs.

  See       status  watch  agents  runs  decisions  events
  Decide    requests  oncall  handover  standing  delegations  submit  unsettled
  Measure   budgets  spending  models  providers  breakers
  Explain   trace  traces  ask  replay  report  evidence  audit  telemetry
  Stop      kill  pause  resume  locks  incidents  drill  drills  runtimes
  Govern    apply  policy  tools  enroll  identity  secrets  keys  webhooks
  People    login  logout  whoami  people  token  tokens  channels  deliveries
  Plane     serve  stop  console  demo  config  hook  witness  doctor
  Learn     help TOPIC (first: getting-started)  completion SHELL

Options:
  --connect URL  A remote plane's address         [WATCHKEEPER_CONNECT]
  --state DIR    State directory of this machine  [WATCHKEEPER_STATE]
  -h, --help     Show this; works after every command
  --version      Show the version
Console: --theme NAME, --read-only, --mouse, --ascii
Environment: WATCHKEEPER_TOKEN, WATCHKEEPER_CONFIG, NO_COLOR
Example:
  watchkeeper requests approve req_01 --reason "customer confirmed"
"""

COMMANDS: dict[str, str] = {
    "status": "watchkeeper.cli.status:status",
    "watch": "watchkeeper.cli.status:watch",
    "agents": "watchkeeper.cli.fleet:agents",
    "runs": "watchkeeper.cli.fleet:runs",
    "trace": "watchkeeper.cli.traces:trace",
    "traces": "watchkeeper.cli.traces:traces",
    "replay": "watchkeeper.cli.replays:replay",
    "ask": "watchkeeper.cli.asking:ask",
    "decisions": "watchkeeper.cli.decisions:decisions",
    "telemetry": "watchkeeper.cli.telemetry:telemetry",
    "unsettled": "watchkeeper.cli.unsettled:unsettled",
    "events": "watchkeeper.cli.ledger:events",
    "audit": "watchkeeper.cli.audit:audit",
    "evidence": "watchkeeper.cli.evidence:evidence",
    "report": "watchkeeper.cli.reports:report",
    "deliveries": "watchkeeper.cli.deliveries:deliveries",
    "submit": "watchkeeper.cli.submit:submit",
    "requests": "watchkeeper.cli.requests:requests",
    "oncall": "watchkeeper.cli.oncall:oncall",
    "handover": "watchkeeper.cli.handover:handover",
    "standing": "watchkeeper.cli.standing:standing",
    "delegations": "watchkeeper.cli.delegations:delegations",
    "budgets": "watchkeeper.cli.budgets:budgets",
    "models": "watchkeeper.cli.models:models",
    "providers": "watchkeeper.cli.models:providers",
    "breakers": "watchkeeper.cli.breakers:breakers",
    "runtimes": "watchkeeper.cli.runtimes:runtimes",
    "spending": "watchkeeper.cli.spending:spending",
    "kill": "watchkeeper.cli.locks:kill",
    "pause": "watchkeeper.cli.locks:pause",
    "resume": "watchkeeper.cli.locks:resume",
    "locks": "watchkeeper.cli.locks:locks",
    "incidents": "watchkeeper.cli.incidents:incidents",
    "drill": "watchkeeper.cli.drills:drill",
    "drills": "watchkeeper.cli.drills:drills",
    "apply": "watchkeeper.cli.apply:apply",
    "policy": "watchkeeper.cli.policy:policy",
    "tools": "watchkeeper.cli.tools:tools",
    "enroll": "watchkeeper.cli.enrolling:enroll",
    "doctor": "watchkeeper.cli.doctor:doctor",
    "hook": "watchkeeper.cli.enrolling:hook_help",
    "identity": "watchkeeper.cli.identity:identity",
    "keys": "watchkeeper.cli.identity:keys",
    "token": "watchkeeper.cli.people:token",
    "tokens": "watchkeeper.cli.people:tokens",
    "people": "watchkeeper.cli.people:people",
    "login": "watchkeeper.cli.login:login",
    "logout": "watchkeeper.cli.login:logout",
    "whoami": "watchkeeper.cli.login:whoami",
    "channels": "watchkeeper.cli.channels:channels",
    "secrets": "watchkeeper.cli.secrets:sealed",
    "webhooks": "watchkeeper.cli.deliveries:webhooks",
    "serve": "watchkeeper.plane.command:serve",
    "witness": "watchkeeper.plane.witness:witness",
    "stop": "watchkeeper.cli.process:stop",
    "console": "watchkeeper.cli.process:console",
    "demo": "watchkeeper.demo.command:demo",
    "config": "watchkeeper.cli.settings:config",
    "help": "watchkeeper.cli.guide:help_",
    "completion": "watchkeeper.cli.guide:completion",
}
"""Command → where it lives. Rooms below are reached by name, as processes of their own:
the command line itself knows the client, the wire and the core only."""


_UNWRITABLE = frozenset({"ENOSPC", "EDQUOT", "EIO", "EBADF"})
"""What standard output fails with when its disk is full or gone."""


def load(name: str) -> Any:
    """Import one command."""
    import importlib

    module, _, attribute = COMMANDS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; never returns."""
    given = sys.argv[1:] if arguments is None else arguments
    completing = "_WATCHKEEPER_COMPLETE" in os.environ
    if given[:1] == ["hook"] and given[1:2] not in ([], ["--help"], ["-h"]) and not completing:
        from watchkeeper.cli import hook

        hook.main(given[1:])
    if given in (["--help"], ["-h"]) and not completing:
        sys.stdout.write(HELP)
        sys.exit(0)
    if given == ["--version"] and not completing:
        from watchkeeper import __version__

        sys.stdout.write(f"watchkeeper {__version__}\n")
        sys.exit(0)
    from watchkeeper.cli.group import root

    try:
        root.main(args=given, prog_name="watchkeeper")
    except OSError as error:
        import errno

        if errno.errorcode.get(error.errno or 0) not in _UNWRITABLE:
            raise
        sys.stderr.write(f"watchkeeper: the answer cannot be written: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(1)  # an ordinary end would try to write it again, and complain
