"""Environments of runtimes: locked by hash, made once, and missed aloud."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.lock import locked_versions
from tests.rig import environments
from tests.rig.environments import LOCKS, REQUIREMENTS


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_each_environment_is_locked_by_hash_and_names_no_host(name: str) -> None:
    text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")
    assert "://" not in text
    pinned = re.findall(r"^[a-z0-9].*(?:\n +--hash.*)*", text, re.MULTILINE)
    assert all("==" in entry and "--hash=sha256:" in entry for entry in pinned)
    locked = locked_versions(text, tests=False)
    assert {one.partition("[")[0] for one in REQUIREMENTS[name]} <= locked.keys()


@pytest.mark.runtimes
def test_what_was_left_half_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "llamaindex"
    monkeypatch.setattr(environments, "_place", lambda _name: place)
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    assert (
        environments._run(
            [str(environments.environment("llamaindex")), "-c", "import llama_agents"]
        )
        == ""
    )
    made = (place / "complete").stat().st_mtime_ns
    environments.environment("llamaindex")
    assert (place / "complete").stat().st_mtime_ns == made


def test_without_a_registry_the_test_is_skipped_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "_place", lambda _name: tmp_path / "a2a")
    monkeypatch.setattr(environments, "_failed", {})
    nowhere = "http://127.0.0.1:9/simple"
    for name, value in {
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": nowhere,
        "UV_HTTP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": nowhere,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match="no registry to install the runtime a2a"):
            environments.environment("a2a")
    assert not (tmp_path / "a2a").exists()


def test_a_lock_that_does_not_hold_fails_and_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a2a.lock").write_text("h11==0.16.0\n", encoding="utf-8")
    monkeypatch.setattr(environments, "_place", lambda _name: tmp_path / "a2a")
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    with pytest.raises(RuntimeError, match=r"a2a.lock does not install"):
        environments.environment("a2a")
