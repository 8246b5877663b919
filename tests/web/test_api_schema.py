"""The OpenAPI schema: complete, valid, and there for everybody."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from tests.web.rest import V1, client_of
from tests.web.test_api_tokens import VIEWS


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema as `manage.py spectacular --validate --fail-on-warn` makes it."""
    out = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return yaml.safe_load(out.getvalue())


def test_the_schema_is_valid_and_names_every_address(schema: Any) -> None:
    served = {path.replace("<uuid:", "{").replace(">", "}") for path in VIEWS if "^" not in path}
    assert {path.lstrip("/") for path in schema["paths"]} == served


def test_every_operation_tells_its_problems_and_how_to_sign_in(schema: Any) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) >= 15
    for operation in operations:
        told = operation["responses"]["4XX"]["content"]
        assert told["application/problem+json"]["schema"]["$ref"].endswith("/ProblemShape"), operation["operationId"]
        assert {"token": []} in operation["security"], operation["operationId"]
        assert operation["description"], operation["operationId"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["schema", "schema/", "docs", "docs/"])
def test_schema_and_docs_open_with_and_without_a_slash(path: str) -> None:
    assert client_of().get(f"{V1}/{path}").status_code == 200


@pytest.mark.django_db
def test_the_docs_read_the_schema_from_here_and_their_scripts_from_our_own_files() -> None:
    page = client_of().get(f"{V1}/docs").content.decode()
    assert "/api/v1/schema" in page and "swagger-ui-bundle.js" in page
    assert "https://" not in page.replace("https://www.w3.org", "")
