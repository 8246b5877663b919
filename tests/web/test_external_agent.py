"""The worked example of docs/external-decisions.md: a real process elsewhere, the real web server, a real callback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from approvals.models import Decision, Delivery, DeliveryState
from approvals.outbound import sending
from approvals.policies import document, versions
from missions.web import tokens
from tests.conftest import Person
from tests.policies import row
from tests.web.conftest import WebServer
from tests.web.rest import client_of, post

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "external_agent.py"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, settings: Settings, transactional_db: None) -> Iterator[WebServer]:
    """The web server and this test's sender may both reach the agent on loopback."""
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv("WEBHOOK_ALLOWED_HOSTS", "127.0.0.1")
    made = WebServer()
    made.start()
    yield made
    made.kill()


def agent(server: WebServer, robot: User, order: str) -> subprocess.Popen[str]:
    secret = tokens.issue(robot, scopes=("decisions:open", "decisions:read"), agent="shop-agent")[1]
    environment = {
        **os.environ, "STANDFAST_URL": server.url, "STANDFAST_TOKEN": secret, "POLL_SECONDS": "0.05",
        "PATIENCE_SECONDS": "60",
    }  # fmt: skip
    command = [sys.executable, str(SCRIPT), order, "900.00"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd="/")


@pytest.mark.parametrize(("verdict", "last"), [("approve", "paying 900.00 for ORD-7"), ("reject", "not paying")])
def test_an_agent_elsewhere_asks_people_answer_and_it_learns_by_asking_and_by_a_signed_callback(
    server: WebServer, person: Person, sam: User, verdict: str, last: str
) -> None:
    rule = row("refunds", "escalate", scope={"agent": "shop-agent"})
    versions.load(document.check({"name": "shop", "rules": [rule]}), activate=True)
    with agent(server, person("robot"), "ORD-7") as process:
        assert process.stdout is not None
        opened = process.stdout.readline()
        decision = Decision.objects.get()
        assert opened == f"opened {decision.pk}: open\n"
        vote = {"verdict": verdict, "digest": decision.digest, "comment": "As the photographs show."}
        assert post(client_of(sam), f"/decisions/{decision.pk}/votes", vote).status_code == 200
        state = {"approve": "approved", "reject": "rejected"}[verdict]
        assert process.stdout.readline() == f"polled: {state} by sam\n"
        sending.send_due()
        assert process.stdout.readline() == f"called back: {state} for refund-ORD-7, verified\n"
        assert process.stdout.readline() == f"{last}\n"
        assert process.wait(30) == 0
    assert Delivery.objects.get().state == DeliveryState.SENT


def test_the_document_shows_the_script_as_it_is() -> None:
    shown = (ROOT / "docs" / "external-decisions.md").read_text()
    assert f"```python\n{SCRIPT.read_text()}```" in shown
