"""Talking to the REST API in tests."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from rest_framework.test import APIClient

V1 = "/api/v1"


def client_of(user: User | None = None, *, token: str = "", **options: Any) -> APIClient:
    """A client, signed in as `user` or sending `token`. It answers a failure instead of raising it."""
    client = APIClient(raise_request_exception=False, **options)
    if user is not None:
        client.force_login(user)
    if token:
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def post(client: APIClient, path: str, body: Any, **headers: Any) -> Any:
    """POST a JSON body to a path below /api/v1."""
    return client.post(f"{V1}{path}", body, format="json", **headers)


def problem_of(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem that a response is; fails unless it is one, in full, with this status and code."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["type"] == f"urn:standfast:problem:{code}"
    assert body["title"] and "detail" in body
    return body


def fields_of(problem: dict[str, Any]) -> set[str]:
    """The fields that a problem names."""
    assert all(error["message"] for error in problem["errors"])
    return {error["field"] for error in problem["errors"]}
