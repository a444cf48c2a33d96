"""The OpenAPI description, from the route table and the wire models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from watchkeeper.api.table import Operation
from watchkeeper.wire.base import Problem

_PART = re.compile(r"\{(\w+)(?::path)?\}")


def describe(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    listed = list(operations)
    models: set[type[BaseModel]] = {Problem}
    for operation in listed:
        models |= {
            m for m in (operation.takes or operation.reads, operation.answers) if m is not None
        }
    ordered = sorted(models, key=lambda model: model.__name__)
    references, definitions = models_json_schema(
        [(model, "serialization") for model in ordered],
        ref_template="#/components/schemas/{model}",
    )
    schema_of = {model: references[(model, "serialization")] for model in ordered}
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        path = _PART.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchkeeper",
            "version": version,
            "description": "People: the Unix socket, or a bearer token `wkp_…`. "
            "Agents: `wka_…` opens runs, `wkr_…` acts in one.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PART.findall(operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in operation.query
    ]
    success: dict[str, Any] = {"description": operation.does}
    if operation.answers is not None:
        success["content"] = {"application/json": {"schema": schema_of[operation.answers]}}
    refused = {
        "description": "Refused, with the reason, the rule and what to do.",
        "content": {"application/problem+json": {"schema": schema_of[Problem]}},
    }
    described: dict[str, Any] = {
        "summary": operation.does,
        "operationId": operation_id(operation),
        "tags": list(operation.tags),
        "parameters": parameters,
        "responses": {
            str(operation.status if operation.answers else 204): success,
            "default": refused,
        },
        "security": [] if operation.needs == "anyone" else [{"bearer": []}],
        "x-watchkeeper-needs": operation.needs,
    }
    body = operation.takes or operation.reads
    if body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded" if operation.form else "application/json": {
                    "schema": schema_of[body]
                }
            },
        }
    return described


def operation_id(operation: Operation) -> str:
    """Return a stable id such as `post_v1_requests_request_votes`."""
    plain = re.sub(r"\W+", "_", _PART.sub(r"\1", operation.path)).strip("_")
    return f"{operation.method.lower()}_{plain}"
