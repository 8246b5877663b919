"""The pages of tools, and limits and circuits over REST: who may change them, what is refused, what is shown."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client

from missions.authoring import ToolCall, tool
from missions.engine import circuits, limits
from missions.models import Circuit, CircuitChange, CircuitState, Limit
from tests.web.conftest import Visit
from tests.web.rest import client_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/tools/shed.spade/"


@tool(name="shed.spade", effect="write", retry_safety="keyed")
async def spade(call: ToolCall, depth: int) -> int:
    """Dig a hole"""
    return depth


def test_the_list_and_the_page_tell_effect_limits_and_state(outsider: User, olivia: User) -> None:
    assert "Dig a hole" in get(outsider, "/tools/")
    signed_in(olivia).post(f"{PAGE}limit/", {"concurrency": "3"})
    assert "3 at once" in get(outsider, "/tools/")
    html = get(outsider, PAGE)
    assert "depth" in html
    assert "Set the limit" not in html
    assert "Set the limit" in get(olivia, PAGE)


def test_an_operator_sets_and_lifts_a_limit(olivia: User) -> None:
    client = signed_in(olivia)
    posted = client.post(f"{PAGE}limit/", {"rate_count": "10", "rate_seconds": "60"})
    assert (posted.status_code, posted["Location"]) == (303, PAGE)
    limit = Limit.objects.get()
    assert (limit.name, limit.rate_count, limit.rate_seconds, limit.changed_by) == ("shed.spade", 10, 60.0, "olivia")
    client.post(f"{PAGE}limit/", {})
    assert not Limit.objects.exists()


def test_a_limit_that_can_not_be_is_shown_again_with_what_was_typed(olivia: User) -> None:
    answer = signed_in(olivia).post(f"{PAGE}limit/", {"rate_count": "12345"})
    assert answer.status_code == 422
    assert "12345" in answer.content.decode()
    assert "A rate wants both" in answer.content.decode()


def test_an_operator_holds_calls_back_and_lets_them_through_and_both_are_recorded(olivia: User) -> None:
    client = signed_in(olivia)
    client.post(f"{PAGE}circuit/", {"state": "open", "reason": "Under repair"})
    assert Circuit.objects.get().state == CircuitState.OPEN
    assert "Under repair" in get(olivia, PAGE)
    client.post(f"{PAGE}circuit/", {"state": "closed"})
    assert Circuit.objects.get().state == CircuitState.CLOSED
    assert [one.changed_by for one in CircuitChange.objects.all()] == ["olivia", "olivia"]


@pytest.mark.parametrize("what", ["limit/", "circuit/"])
def test_others_change_nothing(sam: User, what: str) -> None:
    assert signed_in(sam).post(PAGE + what, {"concurrency": "1", "state": "open"}).status_code == 403
    assert not Limit.objects.exists()
    assert not Circuit.objects.exists()


def test_an_unknown_tool_is_a_404(olivia: User) -> None:
    assert signed_in(olivia).get("/tools/no.such/").status_code == 404
    assert signed_in(olivia).post("/tools/no.such/limit/", {"concurrency": "1"}).status_code == 404
    assert Client().get("/tools/").status_code == 302


# -- REST --------------------------------------------------------------------------------------------------------------


def test_limits_are_set_changed_and_lifted_over_rest(olivia: User, outsider: User) -> None:
    client = client_of(olivia)
    made = post(client, "/limits", {"scope": "type", "name": "refund", "concurrency": 5})
    assert made.status_code == 201
    one = f"/api/v1/limits/{made.json()['id']}"
    changed = client.patch(one, {"concurrency": 6, "escalate_after_seconds": 60}, format="json").json()
    assert (changed["concurrency"], changed["escalate_after_seconds"], changed["under_way"]) == (6, 60.0, 0)
    assert [row["name"] for row in client_of(outsider).get("/api/v1/limits").json()["results"]] == ["refund"]
    problem_of(post(client, "/limits", {"scope": "type", "name": "refund", "concurrency": 5}), 422, "invalid_input")
    problem_of(client_of(outsider).delete(one), 403, "permission_denied")
    assert client.delete(one).status_code == 204
    problem_of(client.delete(one), 404, "unknown_limit")


def test_a_tool_tells_its_limits_and_its_circuit_over_rest(olivia: User, sam: User) -> None:
    client = client_of(olivia)
    post(client, "/limits", {"scope": "tool", "name": "shed.spade", "concurrency": 2})
    assert post(client, "/tools/shed.spade/circuit", {"state": "open", "reason": "x"}).status_code == 204
    (spade_,) = [row for row in client.get("/api/v1/tools").json()["results"] if row["name"] == "shed.spade"]
    assert (spade_["circuit"]["state"], spade_["limits"][0]["concurrency"]) == ("open", 2)
    problem_of(post(client_of(sam), "/tools/shed.spade/circuit", {"state": "closed"}), 403, "permission_denied")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_no_page_of_tools_breaks_an_accessibility_rule(visit: Visit, olivia: User, scheme: str, width: int) -> None:
    limits.put("tool", "payments.refund", concurrency=2, rate_count=10, rate_seconds=60)
    circuits.open_by_hand("payments.refund", by="olivia", reason="Under repair")
    page = visit(olivia, "", color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in ("/tools/", "/tools/payments.refund/"):  # as a process of its own knows them
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
