"""The guides are true: what they show can be applied, run and looked up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import watchkeeper
from watchkeeper.cli import exits
from watchkeeper.cli.main import COMMANDS
from watchkeeper.core.resources import resource_dir
from watchkeeper.decide.catalogue import build_catalogue
from watchkeeper.decide.policies.applying import read_files
from watchkeeper.registry.cases import read_cases
from watchkeeper.registry.rules import InForce, plan

GUIDES = {
    path.stem: path.read_text(encoding="utf-8") for path in resource_dir("guides").glob("*.md")
}
WANTED = {
    "getting-started", "concepts", "approvals", "budgets", "kill", "contracts", "policies",
    "agents", "operations", "console", "people", "secrets", "identity",
}  # fmt: skip


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_every_guide_is_there_and_short() -> None:
    assert set(GUIDES) >= WANTED
    for name, text in GUIDES.items():
        assert text.startswith("# "), name
        assert max(map(len, text.splitlines())) <= 100, name
        assert len(text.splitlines()) <= 120, name


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_what_a_guide_shows_can_be_applied(name: str) -> None:
    files = [
        (f"{i}.cases.yaml" if text.startswith("cases:") else f"{i}.yaml", text)
        for i, text in enumerate(blocks(GUIDES[name], "yaml"))
    ]
    read_cases(files)
    files += [(f"p{i}.cedar", text) for i, text in enumerate(blocks(GUIDES[name], "cedar"))]
    wanted = read_files(files)
    plan(wanted, {}, prune=False)
    build_catalogue(
        {
            (one.kind, one.name): InForce(
                one.kind, one.name, 1, "sha256:0", one.path, one.text, one.document
            )
            for one in wanted
        }
    )


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_commands_that_a_guide_names_exist(name: str) -> None:
    named = re.findall(r"(?:^|[`\s])watchkeeper ([a-z]+)\b", GUIDES[name])
    assert set(named) <= set(COMMANDS), named
    for topic in re.findall(r"watchkeeper help ([a-z-]+)", GUIDES[name]):
        assert topic in GUIDES, topic


def test_the_exit_codes_are_as_the_guide_says() -> None:
    section = GUIDES["operations"].split("## Exit codes")[1]
    told = {int(code) for code in re.findall(r"(?:^|· )(\d) ", section, re.MULTILINE)}
    assert told == set(exits.MEANINGS)


def test_help_lists_and_shows_them(tmp_path: Path) -> None:
    listed = watchkeeper(tmp_path, "help").out
    for name in GUIDES:
        assert name in listed
    assert watchkeeper(tmp_path, "help", "kill").out == GUIDES["kill"]
    missing = watchkeeper(tmp_path, "help", "nothing")
    assert missing.code == exits.NOT_FOUND
    assert "getting-started" in missing.err
