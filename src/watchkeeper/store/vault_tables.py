"""The vault's tables: whose data is kept, and what of it entries commit to."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

data_subjects = Table(
    "data_subjects",
    metadata,
    Column("subject", Key, primary_key=True),
    Column("name", Key),
    Column("sealed_key", LargeBinary),
    Column("since", Whole, nullable=False),
    Column("erased_at", Whole),
)
"""A person whose data is kept. Once erased neither name nor key is left."""
Index("uq_data_subjects_name", data_subjects.c.name, unique=True)

vault_values = Table(
    "vault_values",
    metadata,
    Column("value", Key, primary_key=True),
    Column("subject", Key, nullable=False),
    Column("also", Text),
    Column("scope", Key, nullable=False),
    Column("handle", LargeBinary),
    Column("sealed", LargeBinary),
    Column("at", Whole, nullable=False),
    Column("erased_at", Whole),
)
"""`scope` is the run or request in which a text has one commitment, however often it is told;
`handle` finds it; `also` names, with spaces, the other persons that it is of: whoever of them is
erased first takes it along."""
Index("ix_vault_values_subject", vault_values.c.subject)
Index("ix_vault_values_handle", vault_values.c.handle)
