"""Settings: flag before environment before file, and every mistake names its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.plane.settings import Settings, read_settings
from watchkeeper.plane.state import PlaneFile


def read(
    tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: Any
) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return read_settings({"state": str(tmp_path), **flags}, environ or {}, file)


def test_flag_before_environment_before_file(tmp_path: Path) -> None:
    toml = '[plane]\nport = 1001\nenvironment = "file"\nplane = "file"\n'
    environ = {"WATCHKEEPER_PORT": "1002", "WATCHKEEPER_ENVIRONMENT": "environ"}
    found = read(tmp_path, toml, environ, port=1003, database=None)
    assert (found.port, found.environment, found.plane) == (1003, "environ", "file")
    assert found.database_url == f"sqlite:///{tmp_path / 'plane.sqlite3'}"


@pytest.mark.parametrize(
    ("toml", "environ", "flags", "where"),
    [
        ("[plane]\nport = 70000\n", {}, {}, "config.toml: plane.port"),
        ("[plane]\nport = true\n", {}, {}, "config.toml: plane.port"),
        ("[plane]\nprot = 1\n", {}, {}, "config.toml"),
        ("[plane", {}, {}, "config.toml"),
        ("plane = 3\n", {}, {}, "config.toml"),
        ("", {"WATCHKEEPER_PORT": "many"}, {}, "WATCHKEEPER_PORT"),
        ("", {}, {"environment": "Prod EU"}, "--environment"),
        ("", {}, {"database": "mysql://x"}, "--database"),
        ("", {}, {"rehearsal_clock": "backwards"}, "--rehearsal-clock"),
        ("[plane]\nmax_body = 1\n", {}, {}, "plane.max_body"),
    ],
)
def test_a_mistake_names_its_source(
    tmp_path: Path, toml: str, environ: dict[str, str], flags: dict[str, Any], where: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read(tmp_path, toml, environ, **flags)
    assert caught.value.where is not None
    assert where in caught.value.where


def test_other_tables_of_the_file_are_other_rooms_business(tmp_path: Path) -> None:
    assert read(tmp_path, 'theme = "watch-dark"\n[keymap]\nx = ["y"]\n').like(None).port == 8750


def test_a_plane_comes_back_where_agents_look_for_it(tmp_path: Path) -> None:
    last = PlaneFile(1, "http://127.0.0.1:9123", "s", 0, "staging", "0.1.0")
    again = read(tmp_path, "").like(last)
    assert (again.port, again.environment) == (9123, "staging")
    told = read(tmp_path, '[plane]\nport = 0\nenvironment = "prod"\n').like(last)
    assert (told.port, told.environment) == (0, "prod")
