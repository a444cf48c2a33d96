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
        ("", {"WATCHKEEPER_PUBLIC_URL": "http://planes.example"}, {}, "WATCHKEEPER_PUBLIC_URL"),
        ("", {}, {"database": "mysql://x"}, "--database"),
        ("", {}, {"rehearsal_clock": "backwards"}, "--rehearsal-clock"),
        ("[plane]\nmax_body = 1\n", {}, {}, "plane.max_body"),
        ('[plane]\nsealing_key = "here"\n', {}, {}, "plane.sealing_key"),
        ('[plane]\nvault_url = "https://v.example.org"\n', {}, {}, "vault_token"),
        ('[plane]\nvault_token = "env:X"\n', {}, {}, "vault_url"),
        ('[plane]\nanchor_witness = "https://w.example.org"\n', {}, {}, "anchor_witness_key"),
        ('[plane]\nanchor_tsa_certificate = "ca.pem"\n', {}, {}, "anchor_tsa"),
        ('[plane]\nanchor_git = "--upload-pack=x"\n', {}, {}, "plane.anchor_git"),
        (
            "",
            {
                "WATCHKEEPER_VAULT_URL": "https://u:p@v.example.org",
                "WATCHKEEPER_VAULT_TOKEN": "env:X",
            },
            {},
            "WATCHKEEPER_VAULT_URL",
        ),
        ("[plane]\ntrace_days = 0\n", {}, {}, "plane.trace_days"),
        ("", {"WATCHKEEPER_CONTENT_DAYS": "4000"}, {}, "WATCHKEEPER_CONTENT_DAYS"),
        ("", {"WATCHKEEPER_TRACE_PERCENT": "101"}, {}, "WATCHKEEPER_TRACE_PERCENT"),
        (
            "",
            {
                "WATCHKEEPER_VAULT_URL": "https://v.example.org",
                "WATCHKEEPER_VAULT_TOKEN": "hvs.canary",
            },
            {},
            "WATCHKEEPER_VAULT_TOKEN",
        ),
    ],
)
def test_a_mistake_names_its_source(
    tmp_path: Path, toml: str, environ: dict[str, str], flags: dict[str, Any], where: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read(tmp_path, toml, environ, **flags)
    assert caught.value.where is not None
    assert where in caught.value.where
    assert "canary" not in str(caught.value)


def test_the_variable_of_the_sealing_key_holds_the_key_itself(tmp_path: Path) -> None:
    found = read(tmp_path, environ={"WATCHKEEPER_SEALING_KEY": "a-key-canary"})
    assert found.sealing_key == "env:WATCHKEEPER_SEALING_KEY"
    assert "canary" not in repr(found)


def test_a_vault_needs_an_address_and_a_token(tmp_path: Path) -> None:
    assert read(tmp_path).vault is None
    toml = """[plane]
vault_url = "https://vault.example.org:8200"
vault_token = "sealed:vault"
vault_namespace = "team-a"
vault_allow_private = true
"""
    vault = read(tmp_path, toml).vault
    assert vault is not None
    assert (vault.url, vault.token) == ("https://vault.example.org:8200", "sealed:vault")
    assert (vault.namespace, vault.allow_private) == ("team-a", True)


def test_other_tables_of_the_file_are_other_rooms_business(tmp_path: Path) -> None:
    assert read(tmp_path, 'theme = "watch-dark"\n[keymap]\nx = ["y"]\n').like(None).port == 8750


def test_a_plane_comes_back_where_agents_look_for_it(tmp_path: Path) -> None:
    last = PlaneFile(1, "http://127.0.0.1:9123", "s", 0, "staging", "0.1.0")
    again = read(tmp_path, "").like(last)
    assert (again.port, again.environment) == (9123, "staging")
    told = read(tmp_path, '[plane]\nport = 0\nenvironment = "prod"\n').like(last)
    assert (told.port, told.environment) == (0, "prod")
