"""`help TOPIC` and `completion SHELL`."""

from __future__ import annotations

import difflib
import sys

import click

from watchkeeper.cli.exits import NOT_FOUND
from watchkeeper.cli.output import say
from watchkeeper.core.resources import resource_dir


def _topics(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    names = sorted(path.stem for path in resource_dir("guides").glob("*.md"))
    return [name for name in names if name.startswith(begun)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_topics)
def help_(topic: str | None) -> None:
    """Show a guide; without TOPIC, list them."""
    guides = {path.stem: path for path in sorted(resource_dir("guides").glob("*.md"))}
    if topic is None:
        say("Guides, each shown by `watchkeeper help TOPIC`:")
        for name, path in guides.items():
            title = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
            say(f"  {name:<16} {title}")
        return
    if topic not in guides:
        from watchkeeper.cli.main import COMMANDS

        if topic in COMMANDS:
            say(f"See `watchkeeper {topic} --help`.")
            return
        near = difflib.get_close_matches(topic, guides, 1, 0.75)
        say(f"watchkeeper: there is no guide {topic!r}", err=True)
        known = (
            f"`watchkeeper help {near[0]}`"
            if near
            else "`watchkeeper help` lists them; begin with getting-started"
        )
        say(f"  try:  {known}", err=True)
        sys.exit(NOT_FOUND)
    text = guides[topic].read_text(encoding="utf-8")
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    For bash: watchkeeper completion bash > ~/.local/share/bash-completion/completions/watchkeeper
    """
    from click.shell_completion import get_completion_class

    from watchkeeper.cli.group import root

    kind = get_completion_class(shell)
    assert kind is not None
    # the class asks bash for its version; the script itself needs no shell to be written
    kind._check_version = staticmethod(lambda: None)  # type: ignore[attr-defined]
    click.echo(kind(root, {}, "watchkeeper", "_WATCHKEEPER_COMPLETE").source())
