"""Whose names are whose: each of one person, and `owner` of nobody else."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.people.directory import gather_names
from watchkeeper.registry.people import OidcSubject, Person


@pytest.mark.parametrize("alias", ["owner", "Owner", "person/owner", " owner "])
def test_nobody_is_the_owner_under_another_name(alias: str) -> None:
    with pytest.raises(Invalid) as refused:
        gather_names([Person(name="bob", aliases=(alias,))])
    assert refused.value.rule == "person/aliases"


def test_an_account_or_subject_that_others_have_is_no_name() -> None:
    shared = OidcSubject(issuer="idp", subject="owner")
    people = [
        Person(name="ada", aliases=("Ada L",), accounts=("desk", "ada-l")),
        Person(name="bob", accounts=("desk",), oidc=(shared,)),
    ]
    names = gather_names(people)
    assert names.key("ada l") == names.key("ada-l") == "ada"
    assert names.key("desk") == "desk"
    assert names.key("owner") == "owner"
    assert names.names("bob") == {"bob"}
