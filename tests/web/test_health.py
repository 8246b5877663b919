"""What supervisors and load balancers ask: is the process alive, is the system ready."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from missions.models import Worker
from tests.conftest import Clock


def living_worker() -> None:
    Worker.objects.create(id=1, host="here", boot_id="b", pid=1, pid_started=1, backend_pid=1)


def test_alive_asks_nothing_of_the_database(client: Client) -> None:
    response = client.get("/healthz")  # this test may not touch the database: it would fail
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_needs_a_worker_that_beats(client: Client, clock: Clock) -> None:
    assert client.get("/readyz").status_code == 503
    living_worker()
    assert client.get("/readyz").json() == {
        "status": "ok", "checks": {"database": "ok", "migrations": "ok", "workers": "ok"},
        "frozen": "", "quarantined": 0,
    }  # fmt: skip
    clock.advance(settings.MISSIONS_HUNG_SECONDS + 1)
    response = client.get("/readyz")
    assert (response.status_code, "runmissions" in response.json()["checks"]["workers"]) == (503, True)


@pytest.mark.django_db
def test_ready_needs_all_migrations(client: Client) -> None:
    living_worker()
    with connection.cursor() as cursor:
        cursor.execute("delete from django_migrations where app = 'observability'")
    response = client.get("/readyz")
    assert (response.status_code, "migrate" in response.json()["checks"]["migrations"]) == (503, True)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_the_answers_are_never_cached_and_open_to_all(client: Client, path: str) -> None:
    response = client.get(path)
    assert "no-store" in response["Cache-Control"]
    assert response["Content-Type"] == "application/json"
