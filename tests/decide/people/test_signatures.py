"""Whose key counted when: what is verified is looked at again in the unit of work that counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig.ssh import SshKey
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Forbidden
from watchkeeper.core.ssh import fingerprint, plain_key
from watchkeeper.decide.catalogue import build_catalogue
from watchkeeper.decide.people.signatures import Signed, check_still, verify_vote
from watchkeeper.identity.logins import plane_id
from watchkeeper.registry.keys import key_spans, spans_of
from watchkeeper.registry.service import apply, read_standing
from watchkeeper.registry.source import read_file
from watchkeeper.store.store import Store
from watchkeeper.wire.requests import VOTE_NAMESPACE, vote_text

OTHERS = "role: {name: others, members: [owner]}"


async def put_in_force(store: Store, *keys: SshKey) -> None:
    """Apply a document of grace with some keys; without any, take it away."""
    lines = "".join(f"    - {key.public}\n" for key in keys)
    text = f"person:\n  name: grace\n  ssh_keys:\n{lines}" if keys else OTHERS
    wanted = read_file("x.yaml", text)
    await store.write(lambda tx: apply(tx, wanted, actor="person/ada", prune=True))


async def sign(store: Store, key: SshKey) -> Signed | None:
    catalogue = await store.read(lambda tx: build_catalogue(read_standing(tx)))
    said = {"request": "req_1", "digest": "sha256:0", "verdict": "approve", "person": "grace"}
    text = vote_text(await store.read(plane_id), **said, reason=None)
    signature = key.sign(text, namespace=VOTE_NAMESPACE)
    return await verify_vote(store, catalogue, **said, reason=None, signature=signature)


async def test_a_key_taken_away_after_it_was_verified_casts_no_vote(
    store: Store, tmp_path: Path
) -> None:
    first, second = SshKey.make(tmp_path / "first"), SshKey.make(tmp_path / "second")
    await put_in_force(store, first)
    signed = await sign(store, first)
    assert signed is not None
    assert signed.fingerprint == fingerprint(first.public)
    await store.read(lambda tx: check_still(tx, signed))
    for keys in ((second,), ()):
        await put_in_force(store, *keys)
        with pytest.raises(Forbidden) as refused:
            await store.read(lambda tx: check_still(tx, signed))
        assert refused.value.code == "signature_invalid"
    await store.read(lambda tx: check_still(tx, None))


async def test_keys_are_known_with_their_times_after_they_have_gone(
    store: Store, clock: RehearsalClock, tmp_path: Path
) -> None:
    first, second = SshKey.make(tmp_path / "first"), SshKey.make(tmp_path / "second")
    at: list[int] = []
    for keys in ((first,), (first, second), (), (first,)):
        clock.advance(10)
        await put_in_force(store, *keys)
        at.append(clock.now())
    spans = await store.read(lambda tx: key_spans(tx, "grace"))
    one, two = plain_key(first.public), plain_key(second.public)
    assert [(span.key, span.since, span.until) for span in spans] == [
        (one, at[0], at[2]),
        (two, at[1], at[2]),
        (one, at[3], None),
    ]
    assert await store.read(lambda tx: key_spans(tx, "nobody")) == []
    assert await store.read(key_spans) == spans


@given(
    st.lists(st.tuples(st.integers(0, 20), st.frozensets(st.sampled_from("abc"))), max_size=12),
    st.integers(0, 21),
)
def test_at_any_time_those_keys_count_that_the_last_change_named(
    drawn: list[tuple[int, frozenset[str]]], moment: int
) -> None:
    changes = sorted(dict(drawn).items())
    spans = spans_of("grace", changes)
    counted = {
        span.key
        for span in spans
        if span.since <= moment and (span.until is None or moment < span.until)
    }
    named = [keys for at, keys in changes if at <= moment]
    assert counted == (set(named[-1]) if named else set())
    assert all(span.until is None or span.since < span.until for span in spans)
