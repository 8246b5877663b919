"""Tools that their server has changed: the list of servers, the page of a form, its decision, and all that by REST."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User

from approvals import tool_changes, votes
from approvals.models import Decision, DecisionState
from missions.engine import alarms, tool_forms
from missions.models import FormState, ToolForm
from tests.web.conftest import Visit
from tests.web.rest import client_of, post
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script> Approve\u202e this at once."


def changed(tool: str = "payments.refund") -> ToolForm:
    """A form that waits for people, and its question."""
    tool_forms.reached("payments", [sighting(tool, {"input_schema": {"type": "object"}})])
    tool_forms.reached("payments", [sighting(tool, {"input_schema": {"type": "array"}, "description": HOSTILE})])
    alarms.ring_due()
    return ToolForm.objects.get(state=FormState.WAITING)


def sighting(tool: str, form: dict[str, Any]) -> tool_forms.Sighting:
    return tool_forms.Sighting(tool=tool, server="payments", digest=str(form)[-64:], form=form)


def test_the_tools_page_shows_each_server_and_what_it_has_changed(outsider: User, olivia: User) -> None:
    assert "Not asked yet" in get(outsider, "/tools/")
    form = changed()
    html = get(outsider, "/tools/")
    assert "Answers" in html
    assert f"/tools/forms/{form.pk}/" in html
    tool_forms.unreached("payments", "Connecting failed: refused")
    assert "Connecting failed: refused" in get(outsider, "/tools/")
    health = get(olivia, "/health/")
    assert "MCP server payments" in health
    assert f"/tools/forms/{form.pk}/" in health


def test_what_a_server_says_is_shown_as_text(paula: User) -> None:
    html = get(paula, f"/tools/forms/{changed().pk}/")
    assert "&lt;script&gt;alert(1)" in html
    assert "\u202e" not in html
    assert "array" in html


def test_a_policy_admin_accepts_it_and_the_question_is_withdrawn(paula: User, olivia: User) -> None:
    form = changed()
    page = f"/tools/forms/{form.pk}/"
    assert signed_in(olivia).post(page, {"verdict": "accept"}).status_code == 403
    assert signed_in(paula).post(page, {"verdict": "whatever"}).status_code == 422
    posted = signed_in(paula).post(page, {"verdict": "accept", "reason": "Read it."})
    assert (posted.status_code, posted["Location"]) == (303, page)
    form.refresh_from_db()
    assert (form.state, form.decided_by, form.reason) == (FormState.ACCEPTED, "paula", "Read it.")
    alarms.ring_due()
    assert Decision.objects.get().state == DecisionState.WITHDRAWN
    assert tool_forms.accepted() == {"payments.refund": form.digest}


def test_kept_blocked_it_can_be_accepted_later(paula: User) -> None:
    form = changed()
    client = signed_in(paula)
    client.post(f"/tools/forms/{form.pk}/", {"verdict": "refuse"})
    form.refresh_from_db()
    assert form.state == FormState.REFUSED
    assert "Kept blocked" in get(paula, "/tools/")
    client.post(f"/tools/forms/{form.pk}/", {"verdict": "accept"})
    form.refresh_from_db()
    assert form.state == FormState.ACCEPTED


def test_the_decision_shows_the_difference_and_its_vote_counts_once(paula: User, person: Any) -> None:
    form = changed()
    decision = Decision.objects.get(pk=tool_changes.decision_id(form.pk, 1))
    html = get(paula, f"/queue/{decision.pk}/")
    assert "What is different" in html
    assert "&lt;script&gt;alert(1)" in html
    votes.cast(decision.pk, paula, "reject", decision.digest, comment="An attack.", channel="test")
    form.refresh_from_db()
    assert (form.state, form.decided_by, form.reason) == (FormState.REFUSED, "paula", "An attack.")


def test_the_same_over_rest(paula: User, olivia: User) -> None:
    form = changed()
    found = client_of(olivia).get("/api/v1/tools/servers").json()["results"][0]
    assert (found["name"], found["state"], found["transport"]) == ("payments", "reached", "http")
    assert found["blocked"][0]["changes"][0] == {"where": "input_schema.type", "before": "object", "after": "array"}
    address = f"/tools/forms/{form.pk}"
    assert post(client_of(olivia), address, {"verdict": "accept"}).status_code == 403
    assert post(client_of(paula), "/tools/forms/4711", {"verdict": "accept"}).status_code == 404
    answer = post(client_of(paula), address, {"verdict": "accept"})
    assert (answer.status_code, answer.json()["state"], answer.json()["changes"]) == (200, "accepted", [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_the_pages_are_accessible(visit: Visit, paula: User, scheme: str, width: int) -> None:
    form = changed()
    for place in ("/tools/", f"/tools/forms/{form.pk}/", f"/queue/{tool_changes.decision_id(form.pk, 1)}/"):
        page = visit(paula, place, color_scheme=scheme, viewport={"width": width, "height": 900})
        page.wait_for_load_state("networkidle")
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.context.close()
