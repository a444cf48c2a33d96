"""The repository keeps its shape: the top level, room sizes, and rules a linter does not know."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.lock import ROOT

SOURCE = ROOT / "src" / "watchkeeper"
TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements.lock",
    "sample_data",
    "src",
    "tests",
    "themes",
}
LONGEST_FILE = 400
CHANCE_AND_TIME = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
VAGUE = {"utils", "util", "helpers", "helper", "manager", "misc", "common"}
HOSTS = re.compile(r"pypi\.org|pythonhosted|npmjs|crates\.io", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/\w")


def _tracked(*suffixes: str) -> list[Path]:
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
        paths = [ROOT / name for name in listed if name]
    else:
        hidden = {".venv", "__pycache__"}
        paths = [p for p in ROOT.rglob("*") if not hidden.intersection(p.parts)]
    return [p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes)]


def _python(under: Path) -> list[Path]:
    return [path for path in _tracked(".py") if path.is_relative_to(under)]


def _calls(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, owner and name of every call such as `time.sleep(…)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        yield node.lineno, name, node.func.attr


def test_the_top_level_holds_nothing_else() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    strangers = {name for name in found if not name.startswith(".")} - TOP_LEVEL
    assert not strangers


def test_time_and_chance_come_from_core() -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {owner}.{name}"
        for path in _python(SOURCE)
        if not path.is_relative_to(SOURCE / "core")
        for line, owner, name in _calls(path)
        if (owner, name) in CHANCE_AND_TIME or owner in {"random", "secrets"}
    ]
    assert not bad


def test_tests_do_not_sleep() -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in _python(ROOT / "tests")
        if path.name != "deadline.py"
        for line, owner, name in _calls(path)
        if name == "sleep"
        and owner in {"time", "asyncio", "anyio"}
        # asyncio.sleep(0) only lets others run
        and "sleep(0)" not in path.read_text(encoding="utf-8").splitlines()[line - 1]
    ]
    assert not bad


@pytest.mark.parametrize("under", ["src", "tests"])
def test_files_are_short_and_named_for_what_they_hold(under: str) -> None:
    for path in _python(ROOT / under):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= LONGEST_FILE, f"{path.relative_to(ROOT)} has {lines} lines"
        assert not VAGUE.intersection(path.relative_to(ROOT).with_suffix("").parts), path


def test_nothing_is_left_unfinished() -> None:
    bad = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in _tracked(".py", ".md", ".yaml", ".cedar", ".toml")
        if path != Path(__file__) and (found := UNFINISHED.search(path.read_text(encoding="utf-8")))
    ]
    assert not bad


def test_no_registry_host_and_no_machine_path() -> None:
    bad = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in _tracked()
        if path != Path(__file__) and path.suffix not in {".png", ".svg", ".gz"}
        for text in [path.read_text(encoding="utf-8", errors="replace")]
        for pattern in (HOSTS, MACHINE_PATHS)
        if (found := pattern.search(text))
    ]
    assert not bad


def test_the_screen_never_reads_markup_from_data() -> None:
    bad = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _python(SOURCE)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"from_markup\(|markup=True|from_ansi\(", line)
    ]
    assert not bad


def test_every_module_postpones_annotations() -> None:
    bad = [
        str(path.relative_to(ROOT))
        for path in _python(ROOT / "src") + _python(ROOT / "tests")
        if re.search(
            r"^(def|class|async def|from \S+ import|import) ", text := path.read_text(), re.M
        )
        and "from __future__ import annotations" not in text
    ]
    assert not bad
