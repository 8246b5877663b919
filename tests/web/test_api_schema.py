"""The OpenAPI schema: complete, valid, and there for everybody."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from approvals import refusals
from missions.management.commands import mission, schedule
from missions.web import parsers, problems, tokens
from tests.web.rest import V1, client_of
from tests.web.test_api_tokens import VIEWS


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema as `manage.py spectacular --validate --fail-on-warn` makes it."""
    out = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return yaml.safe_load(out.getvalue())


def test_the_schema_is_valid_and_names_every_address(schema: Any) -> None:
    served = {re.sub(r"<\w+:(\w+)>", r"{\1}", path) for path in VIEWS if "^" not in path}
    assert {path.lstrip("/") for path in schema["paths"]} == served


def test_every_operation_tells_its_problems_and_how_to_sign_in(schema: Any) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) >= 15
    for operation in operations:
        told = operation["responses"]["4XX"]["content"]
        assert told["application/problem+json"]["schema"]["$ref"].endswith("/ProblemShape"), operation["operationId"]
        signed = operation["operationId"] == "hooks_take"  # by its sender, who has no token
        assert signed or {"token": []} in operation["security"], operation["operationId"]
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


# -- Documents ---------------------------------------------------------------------------------------------------------
DOCS = Path(__file__).resolve().parents[2] / "docs"


def first_cells(document: str, section: str) -> set[str]:
    """The code words of the first column of a section's tables."""
    text = (DOCS / document).read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_the_document_lists_every_address_and_no_other() -> None:
    served = {path.removeprefix("api/v1/") for path in VIEWS if "^" not in path}
    assert first_cells("api.md", "Addresses") == {re.sub(r"<\w+:(\w+)>", r"{\1}", path) for path in served}


def test_the_document_lists_every_code() -> None:
    layers = [DOCS.parent / layer for layer in ("missions", "approvals", "observability")]
    sources = [path.read_text() for layer in layers for path in layer.rglob("*.py")]
    raised = {code for text in sources for code in re.findall(r"problem\(\s*\d+,\s*\"(\w+)\"", text)}
    raised |= {kind.code for kind in problems.STATUS_OF} | set(problems.TITLE_OF)
    raised |= {fault[0] for fault in (parsers.TOO_DEEP, parsers.HAS_NUL, parsers.HAS_SURROGATE)}
    raised |= {kind.code for kind in vars(refusals).values() if isinstance(kind, type) and hasattr(kind, "code")}
    known = first_cells("api.md", "Errors")
    assert raised - {"error", "vote_refused", "unknown_tool"} <= known  # these never leave the verbs
    assert first_cells("api.md", "Signing in") == set(tokens.SCOPES)


@pytest.mark.parametrize(
    ("name", "verbs"),
    [("mission", set(mission.VERBS)), ("schedule", set(schedule.VERBS)), ("token", {"create", "list", "revoke"})],
)
def test_the_document_lists_every_verb_of_the_command_line(name: str, verbs: set[str]) -> None:
    section = {"mission": "Missions", "schedule": "Schedules", "token": "Tokens"}[name]
    assert {cell.split()[1] for cell in first_cells("cli.md", section)} == verbs
