"""The API fuzzed from its own OpenAPI document: whatever is sent, the answer is one that the document tells of.

Schemathesis makes the requests, wrong ones too. Each goes to a real decision where the address has one, as a supervisor
who may vote, in a transaction that is undone. No answer is a server error, and each failure is a problem in full.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import requests
import schemathesis
from django.contrib.auth.models import Group, User
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from approvals.models import Decision, Vote
from approvals.policies import expr
from missions.web import tokens
from tests import decisions
from tests.web.rest import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]
EXAMPLES = 10  # of each operation; the engine's own tests hold more
AREAS = r"^/api/v1/(decisions|policies|delegations|calendars|budgets|stops|webhooks|limits)"


@functools.cache
def document() -> Any:
    """The API's document, as it is served."""
    generator: Any = SchemaGenerator()
    schema = generator.get_schema(request=None, public=True)
    return schemathesis.openapi.from_dict(json.loads(json.dumps(schema, default=str)))


def operations() -> list[Any]:
    """The operations of governance, each a case of its own."""
    found = [result.ok() for result in document().include(path_regex=AREAS).get_all_operations()]
    return sorted(found, key=lambda one: (one.path, one.method))


def sent(case: Any, user: User, decision: Decision) -> Any:
    """Send a case as Django serves it, to the decision where the address has one."""
    if "decision_id" in (case.path_parameters or {}):
        case.path_parameters["decision_id"] = str(decision.pk)
    if isinstance(case.body, dict) and "digest" in case.body and isinstance(case.body["digest"], str):
        case.body["digest"] = decision.digest
    wire = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
    headers = {name: value for name, value in wire.headers.items() if name.lower() not in ("authorization", "cookie")}
    body = wire.body.encode() if isinstance(wire.body, str) else wire.body or b""
    return client_of(token=SECRETS[user.pk]).generic(
        str(wire.method), wire.path_url, body, content_type=headers.pop("Content-Type", "application/json"),
        headers=headers,
    )


SECRETS: dict[int, str] = {}  # of the test's person


@pytest.fixture(autouse=True)
def token_of_sam(sam: User) -> None:
    for name in ("supervisors", "policy-admins", "operators"):
        sam.groups.add(Group.objects.get_or_create(name=name)[0])
    SECRETS[sam.pk] = tokens.issue(sam)[1]


@pytest.mark.parametrize("operation", operations(), ids=lambda one: f"{one.method.upper()} {one.path}")
def test_no_request_is_answered_otherwise_than_the_document_says(operation: Any, sam: User) -> None:
    from_document = set(operation.definition.raw.get("responses", {}))
    decision = decisions.opened(decisions.waiting_mission(), decisions.SUPERVISORS)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        mark = transaction.savepoint()
        try:
            answer = sent(case, sam, decision)
        finally:
            transaction.savepoint_rollback(mark)
        assert answer.status_code < 500, (case.as_curl_command(), answer.content[:500])
        told = {str(answer.status_code), f"{answer.status_code // 100}XX"} & from_document
        assert told, (answer.status_code, sorted(from_document), answer.content[:300])
        if answer.status_code >= 400:
            problem = answer.json()
            assert problem["code"] and problem["status"] == answer.status_code, problem

    fuzz()


@given(source=st.text(max_size=60) | st.from_regex(r"[a-z.\[\]()&|!=<>0-9\" ]{1,60}", fullmatch=True))
@settings(max_examples=400, deadline=None)
def test_no_condition_breaks_the_check(source: str) -> None:
    try:
        expr.compile_checked(source)
    except expr.ExpressionError as error:
        assert error.message and error.line >= 1 and error.column >= 1


def test_fuzzed_votes_never_settle_a_decision_of_two(sam: User) -> None:
    """Whatever one person sends, a quorum of two is not met."""
    two = {**decisions.SUPERVISORS, "quorum": 2}
    decision = decisions.opened(decisions.waiting_mission(), two)
    operation = document()["/api/v1/decisions/{decision_id}/votes"]["POST"]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        if isinstance(case.body, dict) and case.body.get("verdict") != "approve":
            case.body["verdict"] = "approve"
        sent(case, sam, decision)

    fuzz()
    decision.refresh_from_db()
    assert decision.state == "open"
    assert Vote.objects.filter(decision=decision, voter=sam).count() <= 1
