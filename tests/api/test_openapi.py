"""The description of the API follows the route table and stands by itself."""

from __future__ import annotations

import json
from typing import Any

from watchkeeper.api.openapi import describe, operation_id
from watchkeeper.api.operations import OPERATIONS

DOCUMENT = json.loads(json.dumps(describe(OPERATIONS, "1.0")))


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()), set())
    if isinstance(value, list):
        return set().union(*(references(item) for item in value), set())
    return set()


def test_every_route_is_described_once() -> None:
    described = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert described == {(o.method, o.path.replace(":path", "")) for o in OPERATIONS}
    ids = [operation_id(operation) for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


def test_every_route_says_who_may_and_how_it_refuses() -> None:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            assert operation["x-watchkeeper-needs"]
            assert operation["summary"].endswith(".")
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_bodies_are_described() -> None:
    votes = DOCUMENT["paths"]["/v1/requests/{request}/votes"]["post"]
    schema = votes["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    vote = DOCUMENT["components"]["schemas"][schema.rsplit("/", 1)[-1]]
    assert set(vote["required"]) >= {"verdict", "digest"}
