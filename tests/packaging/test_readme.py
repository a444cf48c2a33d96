"""The README's commands are the ones that CI runs, and they verify what they install."""

from __future__ import annotations

import re

from tests.packaging.lock import ROOT


def _commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)]


def test_the_first_two_commands_are_one_line_each() -> None:
    first, second = _commands()[:2]
    assert "\n" not in first
    assert "\n" not in second
    assert first.endswith("watchkeeper demo")
    assert "pytest" in second


def test_both_install_by_hash_and_nothing_else() -> None:
    for command in _commands()[:2]:
        installs = re.findall(r"pip install ([^&|]*)", command)
        assert all("--require-hashes" in i or "--no-deps" in i for i in installs), installs
        assert any("--require-hashes" in i for i in installs)
        assert all("--no-build-isolation" in i for i in installs if "--no-deps" in i)


def test_it_is_one_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80


def test_pictures_and_files_it_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
