"""Every error below /api/ is problem+json with a stable code, whatever fails and wherever."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from rest_framework import exceptions

from missions import errors
from missions.models import Mission
from missions.web import api, problems, tokens
from missions.web.parsers import LIMIT_BYTES
from tests import parcels
from tests.web.rest import V1, client_of, post, problem_of


# -- Translation, without a request ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidInput(errors=[]), 422, "invalid_input"),
        (errors.UnknownType(), 422, "unknown_type"),
        (errors.UnknownMission(), 404, "unknown_mission"),
        (errors.KeyReused(), 409, "key_reused"),
        (errors.MissionEnded(), 409, "mission_ended"),
        (errors.PayloadTooLarge(), 413, "payload_too_large"),
        (errors.Unserialisable(), 422, "unserialisable"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.AuthenticationFailed(), 401, "bad_token"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (exceptions.ParseError(), 400, "bad_json"),
        (exceptions.ValidationError({"a": ["b"]}), 422, "invalid_input"),
        (exceptions.Throttled(wait=7), 429, "throttled"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (RequestDataTooBig(), 413, "payload_too_large"),
        (SuspiciousOperation(), 400, "bad_request"),
        (UnreadablePostError(), 400, "bad_request"),
        (OperationalError(), 503, "database_unavailable"),
        (InterfaceError(), 503, "database_unavailable"),
        (ZeroDivisionError(), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_exception_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    found = problems.translate(error)
    assert (found.status_code, found.code) == (status, code) and found.title


def test_facts_of_an_error_become_members_but_never_replace_the_standard_ones() -> None:
    body = problems.translate(errors.KeyReused("Taken.", mission="7", status="?", code="?", type="?")).as_json()
    assert body["mission"] == "7"
    assert (body["status"], body["code"], body["detail"]) == (409, "key_reused", "Taken.")
    assert body["type"] == "urn:standfast:problem:key_reused"


def test_nested_errors_are_told_by_dotted_path() -> None:
    nested = exceptions.ValidationError({"a": {"b": ["x"], "non_field_errors": ["y"]}, "non_field_errors": ["z"]})
    assert problems.translate(nested).extra["errors"] == [
        {"field": "a.b", "message": "x"}, {"field": "a", "message": "y"}, {"field": "", "message": "z"},
    ]  # fmt: skip


def test_headers_tell_when_to_come_back() -> None:
    assert problems.translate(exceptions.Throttled(wait=7)).headers == {"Retry-After": "7"}
    assert problems.translate(OperationalError()).headers == {"Retry-After": "5"}


@pytest.mark.parametrize(
    ("handler", "error", "status"),
    [
        (problems.bad_request, SuspiciousOperation(), 400), (problems.bad_request, RequestDataTooBig(), 413),
        (problems.forbidden, PermissionDenied("no"), 403), (problems.not_found, Http404(), 404),
    ],
)  # fmt: skip
def test_djangos_own_errors_are_problems_below_api(handler: Any, error: Exception, status: int) -> None:
    response = handler(RequestFactory().get("/api/v1/missions"), error)
    assert (response.status_code, response["Content-Type"]) == (status, problems.MEDIA_TYPE)
    assert json.loads(response.content)["status"] == status


def test_a_failure_outside_the_views_is_a_problem_below_api() -> None:
    response = problems.server_error(RequestFactory().get("/api/v1/missions"))
    assert (response.status_code, json.loads(response.content)["code"]) == (500, "internal_error")


# -- Through the whole stack -------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize("path", ["", "nonsense", "missions/", "missions/7", "missions/x/journal", "v2/%00"])
def test_an_address_that_leads_nowhere_is_a_problem(settings: Any, debug: bool, method: str, path: str) -> None:
    settings.DEBUG = debug
    problem = problem_of(getattr(client_of(), method)(f"{V1}/{path}"), 404, "not_found")
    assert ("slash" in problem["detail"]) == path.endswith("/") or not path


@pytest.mark.django_db
def test_another_method_is_refused_with_those_that_are_allowed(olivia: User) -> None:
    response = client_of(olivia).delete(f"{V1}/missions")
    problem_of(response, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(response["Allow"].split(", "))


@pytest.mark.django_db
def test_a_client_that_takes_no_json_is_told_in_json(olivia: User) -> None:
    problem_of(client_of(olivia).get(f"{V1}/missions", HTTP_ACCEPT="text/html"), 406, "not_acceptable")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", ""],
)
def test_a_body_that_is_not_json_is_refused_by_its_type(olivia: User, kind: str) -> None:
    response = client_of(olivia).generic("POST", f"{V1}/missions", b'{"type": "x"}', content_type=kind)
    problem_of(response, 415, "unsupported_media_type")


@pytest.mark.django_db
def test_an_empty_body_is_an_empty_object(olivia: User) -> None:
    response = client_of(olivia).generic("POST", f"{V1}/missions", b"", content_type="application/json")
    problem_of(response, 422, "invalid_input")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the list of missions raise."""

    def install(error: Exception) -> None:
        def fail(*args: Any) -> Any:
            raise error

        monkeypatch.setattr(api, "filtered", fail)

    return install


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
def test_a_failure_is_logged_and_answered_without_its_text(
    olivia: User, broken: Any, settings: Any, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = debug
    broken(ZeroDivisionError("the secret of the safe"))
    response = client_of(olivia).get(f"{V1}/missions")
    problem_of(response, 500, "internal_error")
    assert "secret" not in response.content.decode()
    (record,) = [record for record in caplog.records if record.name == "missions.web.problems"]
    assert (record.levelno, record.action) == (logging.ERROR, "api_failed")  # type: ignore[attr-defined]
    assert record.exc_info


@pytest.mark.django_db
def test_a_failure_is_not_hidden_from_djangos_own_listeners(olivia: User, broken: Any) -> None:
    broken(ZeroDivisionError())
    client = Client()
    client.force_login(olivia)
    with pytest.raises(ZeroDivisionError):
        client.get(f"{V1}/missions")


@pytest.mark.django_db
def test_a_database_outage_is_a_503_that_asks_to_come_back(olivia: User, broken: Any) -> None:
    broken(OperationalError("could not connect to server at 10.0.0.7"))
    response = client_of(olivia).get(f"{V1}/missions")
    assert "10.0.0.7" not in json.dumps(problem_of(response, 503, "database_unavailable"))
    assert response["Retry-After"] == "5"


# -- Large and streamed bodies ----------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_of_two_mebibytes_is_too_large_and_nothing_starts(olivia: User, kind: str) -> None:
    body = b'{"type": "x", "input": {"a": "' + b"x" * 2 * 1024 * 1024 + b'"}}'
    response = client_of(olivia).generic("POST", f"{V1}/missions", body, content_type=kind)
    assert response.status_code in (413, 415)
    problem_of(response, *((413, "payload_too_large") if "json" in kind else (415, "unsupported_media_type")))
    assert not Mission.objects.exists()


@pytest.mark.django_db
def test_an_input_of_one_mebibyte_is_taken(olivia: User) -> None:
    def start(note: str) -> Any:
        return post(client_of(olivia), "/missions", {"type": parcels.TYPE, "input": {**parcels.INPUT, "note": note}})

    note = "x" * (1024 * 1024 - 100)
    assert start(note).status_code == 201
    problem_of(start(note + "x" * 200), 413, "payload_too_large")
    assert Mission.objects.count() == 1


@async_to_sync
async def streamed(token: str, chunks: list[bytes]) -> tuple[int, dict[str, Any]]:
    """POST a body without a declared length, as `Transfer-Encoding: chunked` arrives over ASGI."""
    headers = [
        (b"host", b"localhost"), (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked"),
        (b"authorization", f"Token {token}".encode()),
    ]  # fmt: skip
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": f"{V1}/missions",
        "raw_path": f"{V1}/missions".encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 9),
        "server": ("localhost", 80), "scheme": "http",
    }  # fmt: skip
    server = ApplicationCommunicator(get_asgi_application(), scope)
    for number, chunk in enumerate(chunks, start=1):
        await server.send_input({"type": "http.request", "body": chunk, "more_body": number < len(chunks)})
    head = await server.receive_output(timeout=20)
    body = await server.receive_output(timeout=20)
    await server.wait(timeout=20)  # it gives its database connection back last
    return head["status"], json.loads(body["body"])


@pytest.mark.django_db(transaction=True)
def test_a_body_that_arrives_in_chunks_is_read_whole(olivia: User) -> None:
    body = json.dumps({"type": parcels.TYPE, "input": parcels.INPUT}).encode()
    status, told = streamed(tokens.issue(olivia)[1], [body[:10], body[10:]])
    assert status == 201, told


@pytest.mark.django_db(transaction=True)
def test_a_body_that_arrives_in_chunks_is_limited_like_any_other(olivia: User) -> None:
    chunks = [b'{"type": "x", "title": "'] + [b"x" * 65536] * (LIMIT_BYTES // 65536 + 1) + [b'"}']
    status, told = streamed(tokens.issue(olivia)[1], chunks)
    assert (status, told["code"]) == (413, "payload_too_large")
