"""Signing in to the API: tokens with scopes and an end, and sessions with CSRF."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from missions.models import ApiToken, Mission
from missions.web import tokens
from missions.web.endpoint import Endpoint, Nowhere
from tests import parcels
from tests.web.rest import V1, client_of, post, problem_of

pytestmark = pytest.mark.django_db
REQUEST = {"type": parcels.TYPE, "input": parcels.INPUT}


def secret_of(user: User, *scopes: str, **options: Any) -> str:
    """A new token of a user."""
    return tokens.issue(user, scopes=scopes, **options)[1]


def test_a_token_signs_in_as_its_user(olivia: User) -> None:
    response = post(client_of(token=secret_of(olivia)), "/missions", REQUEST)
    assert (response.status_code, response.json()["started_by"]) == (201, "olivia")


def test_the_secret_is_not_kept(olivia: User) -> None:
    token, secret = tokens.issue(olivia, label="robot")
    kept = ApiToken.objects.values().get(pk=token.pk)
    assert secret not in str(kept) and kept["hash"] == tokens.digest(secret.encode())
    assert secret.startswith(kept["prefix"]) and len(secret) - len(kept["prefix"]) > 30


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("Token sf_nonsense", "no such token"),
        ("Token", "Send `Authorization"),
        ("Token a b", "Send `Authorization"),
        ("token \xff\xfe", "no such token"),
    ],
)
def test_a_bad_token_is_refused_and_not_taken_for_a_stranger(olivia: User, header: str, why: str) -> None:
    client = client_of(olivia)  # the session alone would do
    client.credentials(HTTP_AUTHORIZATION=header)
    response = client.get(f"{V1}/missions")
    assert why in problem_of(response, 401, "bad_token")["detail"]
    assert response["WWW-Authenticate"] == 'Token realm="standfast"'


def test_another_scheme_is_no_token(olivia: User) -> None:
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret_of(olivia)}")
    problem_of(client.get(f"{V1}/missions"), 401, "not_authenticated")


def test_a_token_ends_on_the_databases_clock(olivia: User, clock: Any) -> None:
    client = client_of(token=secret_of(olivia, days=2))
    assert client.get(f"{V1}/missions").status_code == 200
    clock.advance(days=1, hours=23)
    assert client.get(f"{V1}/missions").status_code == 200
    clock.advance(hours=1)
    assert "expired" in problem_of(client.get(f"{V1}/missions"), 401, "bad_token")["detail"]


def test_a_revoked_token_is_refused_and_others_stand(olivia: User) -> None:
    token, secret = tokens.issue(olivia)
    other = client_of(token=secret_of(olivia))
    assert tokens.revoke(token.prefix) == 1
    assert "revoked" in problem_of(client_of(token=secret).get(f"{V1}/missions"), 401, "bad_token")["detail"]
    assert other.get(f"{V1}/missions").status_code == 200
    assert tokens.revoke(token.prefix) == 0
    assert tokens.revoke("sf_") == tokens.revoke("") == 0


def test_a_token_of_somebody_who_left_is_refused(olivia: User) -> None:
    secret = secret_of(olivia)
    User.objects.filter(pk=olivia.pk).update(is_active=False)
    problem_of(client_of(token=secret).get(f"{V1}/missions"), 401, "bad_token")


def test_a_token_gives_no_more_than_its_user_has(audrey: User) -> None:
    problem_of(post(client_of(token=secret_of(audrey)), "/missions", REQUEST), 403, "permission_denied")


def test_an_unknown_scope_is_not_issued(olivia: User) -> None:
    with pytest.raises(ValueError, match="missions:admin"):
        secret_of(olivia, "missions:admin")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("scope", tokens.SCOPES)
def test_a_scope_opens_its_own_door_and_no_other(admin_user: User, scope: str) -> None:
    mission = parcels.mission()
    client = client_of(token=secret_of(admin_user, scope))
    doors = {
        "missions:read": [
            client.get(f"{V1}{path}") for path in (
                "/missions", f"/missions/{mission.uid}", f"/missions/{mission.uid}/journal", "/effects", "/tools",
                "/mission-types", "/observations",
            )
        ],
        "missions:write": [
            post(client, "/missions", REQUEST), post(client, f"/missions/{mission.uid}/signals", {"name": "x"}),
        ],
        "decisions:read": [client.get(f"{V1}/decisions"), client.get(f"{V1}/missions/{mission.uid}/decisions")],
        "limits:read": [client.get(f"{V1}/limits")],
        "limits:write": [
            post(client, "/limits", {"scope": "type", "name": "*", "concurrency": 5}),
            client.patch(f"{V1}/limits/1", {"concurrency": 5}, format="json"), client.delete(f"{V1}/limits/1"),
            post(client, "/tools/test.none/circuit", {"state": "closed"}),
        ],
        "policies:read": [client.get(f"{V1}/policies"), client.get(f"{V1}/policies/none/versions")],
        "policies:write": [post(client, "/policies", {}), post(client, "/policies/none/mode", {"mode": "off"})],
        "decisions:vote": [post(client, f"/decisions/{mission.uid}/votes", {"verdict": "approve", "digest": "x"})],
    }  # fmt: skip
    for needed, responses in doors.items():
        for response in responses:
            if needed == scope:
                assert response.status_code in (200, 201, 202, 204, 404, 422), (needed, response.content)
            else:
                assert problem_of(response, 403, "scope_missing")["scope"] == needed
    assert Mission.objects.count() == (2 if scope == "missions:write" else 1)


def test_a_token_writes_nothing_on_reading(olivia: User) -> None:
    secret = secret_of(olivia)
    before = list(ApiToken.objects.values()), list(User.objects.values())
    client_of(token=secret).get(f"{V1}/missions")
    assert (list(ApiToken.objects.values()), list(User.objects.values())) == before


def api_views(patterns: list[Any], prefix: str = "") -> dict[str, type[Any]]:
    """All views below /api/, by path."""
    found: dict[str, type[Any]] = {}
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found |= api_views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("api/"):
            found[path] = pattern.callback.cls  # type: ignore[attr-defined]
    return found


OPEN = {"api/v1/^schema/?$", "api/v1/^docs/?$"}
VIEWS = {path: view for path, view in api_views(get_resolver().url_patterns).items() if view is not Nowhere}


@pytest.mark.parametrize("path", sorted(set(VIEWS) - OPEN))
def test_every_view_asks_who_comes_in_and_whether_the_scopes_cover_it(path: str) -> None:
    view = VIEWS[path]
    assert issubclass(view, Endpoint)
    assert view.permission_classes == Endpoint.permission_classes
    assert view.area in tokens.READ_SCOPES


# -- Sessions ----------------------------------------------------------------------------------------------------------
def test_a_session_must_send_the_csrf_token_to_write(olivia: User) -> None:
    client = client_of(olivia, enforce_csrf_checks=True)
    problem_of(post(client, "/missions", REQUEST), 403, "csrf_failed")
    assert client.get(f"{V1}/missions").status_code == 200
    assert not Mission.objects.exists()
    client.cookies["csrftoken"] = "a" * 32
    assert post(client, "/missions", REQUEST, HTTP_X_CSRFTOKEN="a" * 32).status_code == 201


def test_a_token_needs_no_csrf_token(olivia: User) -> None:
    client = APIClient(enforce_csrf_checks=True, raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret_of(olivia)}")
    assert post(client, "/missions", REQUEST).status_code == 201
