"""What people ask of an agent, as its framework tells it: what it then does comes of that."""

from __future__ import annotations

import hashlib

from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of
from watchkeeper.store.marks import PERSONAL
from watchkeeper.store.transaction import Transaction

_LENGTH = 26


def prompt_key(run: str, turn: str) -> str:
    """Return what one prompt of a run is kept under; `turn`: its framework's own id of it."""
    return f"ask_{hashlib.sha256(f'{run}/{turn}'.encode()).hexdigest()[:_LENGTH]}"


def record_prompt(tx: Transaction, token: str, turn: str, said: bytes) -> None:
    """Put on record that somebody asked an agent for something: its digest, not its words.

    Raises `Unauthenticated` for a token that is not valid.
    """
    run = check_token(facts_of(tx, token), tx.now)
    marks = tx.vault.marks(tx, run.run)
    # of words that somebody could guess, nothing may tell that the guess is right
    digest = marks.of(
        f"sha256:{hashlib.sha256(said).hexdigest()}", (run.on_behalf_of or run.run,), fresh=True
    )
    tx.record(
        "run.asked",
        actor=f"agent/{run.agent}",
        subject=f"prompt/{prompt_key(run.run, turn)}",
        agent=run.agent,
        run=run.run,
        body={"digest": digest, "size": len(said), PERSONAL: marks.made},
        whose=run.on_behalf_of,
        screened=True,
    )
