"""The group of commands, each imported when it is called."""

from __future__ import annotations

import difflib
import os
import sys
from typing import Any

import click

from watchkeeper.cli.exits import USAGE
from watchkeeper.cli.main import COMMANDS, HELP, load

_ELSEWHERE = {
    "lock": "kill TARGET", "drain": "kill TARGET --mode drain",
    "lift": "locks lift LOCK", "unlock": "locks lift LOCK", "reconcile": "unsettled reconcile",
    "approve": "requests approve", "reject": "requests reject", "adopt": "runtimes adopt",
    "compare": "traces compare RUN RUN", "search": "traces search WORDS",
    "verify": "audit verify", "erase": "audit erase", "fork": "replay fork",
}  # fmt: skip
"""What people call first what is said otherwise."""


class NamedGroup(click.Group):
    """A group that names the nearest command when it is asked for one it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one name the nearest."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, 1)
            whole = ctx.command_path
            meant = _ELSEWHERE.get(args[0]) if ctx.parent is None else None
            near = [meant] if meant else near
            hint = f" Did you mean `{near[0]}`?" if near else f" See `{whole} --help`."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(NamedGroup):
    """Lists commands by name and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command = load(cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the one-screen help."""
        formatter.write(HELP)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names without importing every command."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        if incomplete.startswith("-"):
            options = (
                "--connect", "--state", "--theme", "--read-only", "--mouse", "--ascii",
                "--version", "--help",
            )  # fmt: skip
            found += [CompletionItem(name) for name in options if name.startswith(incomplete)]
        return found


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from watchkeeper import __version__

        click.echo(f"watchkeeper {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option("--connect", metavar="URL", envvar="WATCHKEEPER_CONNECT")
@click.option("--state", metavar="DIR", envvar="WATCHKEEPER_STATE")
@click.option("--theme", metavar="NAME")
@click.option("--read-only", is_flag=True, default=None)
@click.option("--mouse", is_flag=True, default=None)
@click.option("--ascii", is_flag=True, default=None)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version)
@click.pass_context
def root(context: click.Context, /, **options: Any) -> None:
    """Open the console when no command is given."""
    if context.invoked_subcommand is None:
        from watchkeeper.cli.process import console

        context.invoke(console, **options)


def require_terminal() -> None:
    """End with the usage code unless a screen can be drawn here."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return
    click.echo(
        "watchkeeper: the console needs a terminal, and this is none (or TERM is dumb).\n"
        "  try:  the plain commands, e.g. `watchkeeper status`, `watchkeeper watch`,\n"
        "        `watchkeeper requests list`, all with --json; see `watchkeeper --help`",
        err=True,
    )
    sys.exit(USAGE)
