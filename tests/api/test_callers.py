"""Who an account at the socket is."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from watchkeeper.api.callers import PEER, find_person
from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import Forbidden, Unauthenticated
from watchkeeper.decide.catalogue import Catalogue, build_catalogue
from watchkeeper.decide.policies.applying import read_files
from watchkeeper.identity.model import Person
from watchkeeper.plane.connection import Peer
from watchkeeper.registry.rules import InForce
from watchkeeper.store.store import Store

OTHER = next(one for one in pwd.getpwall() if one.pw_uid != os.getuid())
TEXT = f"""
person:
  name: grace
  operates: [{{role: auditor}}, {{role: responder, teams: [finance]}}]
  accounts: ["{OTHER.pw_name}"]
"""


def catalogue(text: str) -> Catalogue:
    return build_catalogue(
        {
            (one.kind, one.name): InForce(
                one.kind, one.name, 1, "sha256:0", one.path, one.text, one.document
            )
            for one in read_files([("people.yaml", text)])
        }
    )


async def at_the_socket(place: Path, peer: Peer | None, text: str = TEXT) -> Person:
    store = await Store.open(f"sqlite:///{place / 'plane.sqlite3'}", SystemClock())
    try:
        return await find_person(store, catalogue(text), {PEER: peer}, None)
    finally:
        await store.close()


async def test_the_account_that_runs_the_plane_is_its_owner(tmp_path: Path) -> None:
    found = await at_the_socket(tmp_path, Peer(os.getuid(), None))
    assert found.owner
    assert found.may("plane")


async def test_another_account_is_whoever_a_document_says(tmp_path: Path) -> None:
    found = await at_the_socket(tmp_path, Peer(OTHER.pw_uid, None))
    assert (found.name, found.via, found.owner) == ("grace", "socket", False)
    assert found.roles == ("auditor", "responder (finance)")
    assert found.permissions.teams("audit") is None
    assert found.permissions.teams("lift") == frozenset({"finance"})
    assert not found.may("apply")


async def test_an_account_that_nobody_named_is_refused(tmp_path: Path) -> None:
    for peer in (None, Peer(OTHER.pw_uid, None), Peer(4_000_000_000, None)):
        with pytest.raises(Forbidden):
            await at_the_socket(tmp_path, peer, "person: {name: grace}")


async def test_without_a_socket_and_a_token_nobody_is_known(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'plane.sqlite3'}", SystemClock())
    try:
        with pytest.raises(Unauthenticated):
            await find_person(store, catalogue(TEXT), {}, None)
    finally:
        await store.close()
