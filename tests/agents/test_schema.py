"""The OpenAPI document against the real gateway: schemathesis makes requests of it, good and bad, and reads answers.

What it must find: no 500, no answer that the document does not describe.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from agent_world import KEY, document_of
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from standins.scripted import routed, running, serving

from sparkctl.agents.api.app import create_app

EXAMPLES = 6
"""Requests of each operation."""
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[APIOperation[Any, Any, Any, Any]]]:
    """Every operation of the document that a gateway gives out, bound to that gateway."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving(routed) as model:
        document = document_of(folder, model.url, limits={"requests_per_minute": 1_000_000})
        with running(create_app(document)) as address:
            schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
            yield [result.ok() for result in schema.get_all_operations()]


def test_every_operation_answers_as_the_document_says(operations: list[APIOperation[Any, Any, Any, Any]]) -> None:
    faults = [fault for operation in operations for fault in _faults(operation)]
    assert not faults, "\n\n".join(faults)


def _faults(operation: APIOperation[Any, Any, Any, Any]) -> Iterator[str]:
    """What was found wrong with an operation."""

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS, timeout=120)

    try:
        ask()
    except FailureGroup as found:
        yield f"{operation.method} {operation.path}: {found}"


def test_the_document_names_every_path_of_openais_api(operations: list[APIOperation[Any, Any, Any, Any]]) -> None:
    paths = {operation.path for operation in operations}
    assert {f"/v1/{path}" for path in ("models", "chat/completions", "completions", "embeddings")} <= paths
