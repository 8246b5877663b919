"""Period budgets on pages and over REST: who may set them, what is refused, what is shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client

from approvals.budgets import asking
from approvals.models import Decision
from missions.engine import charges, history, period_budgets
from missions.engine.clock import database_now
from missions.models import BudgetAccount, PeriodBudget
from missions.web import tokens
from tests import decisions, parcels
from tests.web.conftest import Visit
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import get, page_of, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]
GIVEN = {"name": "refunds", "subject": "tool", "subject_name": "payments.refund", "counts": "money", "currency": "GBP",
         "amount": "1000.00", "period": "day", "zone": "Europe/London"}  # fmt: skip
FORM = {**GIVEN, "on_exhausted": "escalate", "group": "finance", "extension": "", "rolling_seconds": ""}
PAGE = "/budgets/of/refunds/"


def used_up() -> tuple[PeriodBudget, Decision]:
    """A budget that is used up, with one mission that waits and the question about it."""
    values: dict[str, Any] = {**GIVEN, "amount": Decimal(1000), "group": "finance"}
    budget = period_budgets.add(**values, by="paula")
    missions = [decisions.waiting_mission() for _ in range(2)]
    for number, amount in enumerate((Decimal(900), Decimal(240))):
        wants = {budget.pk: amount}
        charges.reserve(charges.Ask(mission_id=missions[number].pk, path="pay#1", key=str(number) * 64, wants=wants))
    account = BudgetAccount.objects.get()
    asking.ask(f"{account.pk}/{account.rounds}", database_now())
    return budget, Decision.objects.get()


# -- Pages -------------------------------------------------------------------------------------------------------------


def test_a_policy_admin_sets_changes_and_lifts_a_budget(paula: User, outsider: User) -> None:
    client = signed_in(paula)
    assert "No budgets yet" in get(outsider, "/budgets/")
    posted = client.post("/budgets/new/", FORM)
    assert (posted.status_code, posted["Location"]) == (303, "/budgets/")
    budget = PeriodBudget.objects.get()
    assert (budget.amount, budget.extension, budget.group, budget.changed_by) == (1000, 1000, "finance", "paula")
    assert "1,000.00 GBP" in get(outsider, "/budgets/")
    changed = {"amount": "500", "extension": "50", "on_exhausted": "deny", "group": ""}
    assert client.post(PAGE, changed).status_code == 303
    budget.refresh_from_db()
    assert (budget.amount, budget.on_exhausted, budget.counts) == (500, "deny", "money")
    assert client.get(f"{PAGE}delete/")["Location"] == PAGE
    assert client.post(f"{PAGE}delete/").status_code == 303 and not PeriodBudget.objects.exists()


def test_a_budget_that_can_not_be_is_shown_again_with_what_was_typed(paula: User) -> None:
    answer = signed_in(paula).post("/budgets/new/", {**FORM, "currency": "", "amount": "12345.6"})
    html = answer.content.decode()
    assert answer.status_code == 422 and "12345.6" in html and "Money wants a currency" in html
    assert not PeriodBudget.objects.exists()


def test_others_read_and_change_nothing(sam: User, olivia: User, paula: User) -> None:
    signed_in(paula).post("/budgets/new/", FORM)
    for user in (sam, olivia):
        html = get(user, PAGE)
        assert "How it stands" in html and "Change it" not in html
        for path, body in (("/budgets/new/", FORM), (PAGE, {"amount": "1"}), (f"{PAGE}delete/", {})):
            assert signed_in(user).post(path, body).status_code == 403
    assert PeriodBudget.objects.get().amount == 1000
    assert signed_in(sam).get("/budgets/of/none/").status_code == 404
    assert Client().get("/budgets/").status_code == 302


def test_a_budget_that_is_used_up_tells_who_is_asked_and_the_decision_tells_of_it(fiona: User, outsider: User) -> None:
    _, decision = used_up()
    html = get(fiona, PAGE)
    assert "People are asked" in html and f"/queue/{decision.pk}/" in html and "900.00 GBP" in html
    assert f"/queue/{decision.pk}/" not in get(outsider, PAGE)
    asked = get(fiona, f"/queue/{decision.pk}/")
    assert "Allow 1,000.00 GBP more in this period" in asked and "has 100.00 GBP left of 1,000.00 GBP in a day" in asked


# -- REST --------------------------------------------------------------------------------------------------------------


def test_budgets_are_set_changed_and_lifted_over_rest(paula: User, outsider: User) -> None:
    client = client_of(paula)
    made = post(client, "/budgets", GIVEN)
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["left"], told["limit"], told["group"], told["waiting"]) == ("1000.0000", "1000.0000", "supervisors", 0)
    one = "/api/v1/budgets/refunds"
    assert client.patch(one, {"amount": "250.50"}, format="json").json()["left"] == "250.5000"
    assert [row["name"] for row in client_of(outsider).get("/api/v1/budgets").json()["results"]] == ["refunds"]
    assert fields_of(problem_of(post(client, "/budgets", GIVEN), 422, "invalid_input")) == {"name"}
    problem_of(client_of(outsider).delete(one), 403, "permission_denied")
    assert client.delete(one).status_code == 204
    problem_of(client.get(one), 404, "unknown_budget")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"amount": 1.5}, "amount"), ({"amount": "-1"}, "amount"), ({"counts": "miles"}, "counts"), ({"x": 1}, "x"),
     ({"currency": ""}, "currency"), ({"zone": "Mars/Base"}, "zone")],
)  # fmt: skip
def test_a_body_that_makes_no_sense_names_the_field(paula: User, wrong: dict[str, Any], field: str) -> None:
    assert field in fields_of(problem_of(post(client_of(paula), "/budgets", {**GIVEN, **wrong}), 422, "invalid_input"))


def test_a_token_that_starts_missions_does_not_raise_what_they_may_spend(paula: User) -> None:
    secret = tokens.issue(paula, scopes=("missions:write", "limits:write", "budgets:read"))[1]
    client = client_of(token=secret)
    assert client.get("/api/v1/budgets").status_code == 200
    problem_of(post(client, "/budgets", GIVEN), 403, "scope_missing")


def test_data_classes_are_told_of_types_missions_and_tools(olivia: User) -> None:
    run = parcels.mission()
    assert "Cleared for data" in get(olivia, page_of(run)) and "public, internal" in get(olivia, page_of(run))
    client = client_of(olivia)
    told = client.get(f"/api/v1/missions/{run.uid}").json()
    assert told["data_classes"] == ["internal"] and history.verify(run).ok
    assert {row["data_classes"][0] for row in client.get("/api/v1/mission-types").json()["results"]} == {"internal"}
    assert all("data_class" in row and "cost" in row for row in client.get("/api/v1/tools").json()["results"])
    body = {"type": parcels.TYPE, "input": parcels.INPUT, "data_classes": ["restricted"]}
    assert fields_of(problem_of(post(client, "/missions", body), 422, "invalid_input")) == {"data_classes"}
    started = post(client, "/missions", {**body, "data_classes": ["public"]})
    assert started.json()["data_classes"] == ["public"]


# -- In a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320), ("dark", 320)])
def test_no_page_of_budgets_breaks_an_accessibility_rule(visit: Visit, paula: User, scheme: str, width: int) -> None:
    used_up()
    many = Decimal(100_000)
    period_budgets.add(name="steps-of-all", counts="steps", amount=many, period="rolling", rolling_seconds=60)
    page = visit(paula, "", color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in ("/budgets/", "/budgets/new/", PAGE):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scripts", [True, False])
def test_a_budget_is_raised_with_the_keyboard_alone(visit: Visit, paula: User, scripts: bool) -> None:
    used_up()
    page = visit(paula, "/budgets/", java_script_enabled=scripts)
    page.get_by_role("link", name="refunds").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAGE}")
    page.get_by_label("Amount").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2000")
    page.keyboard.press("Enter")
    page.wait_for_url("**/budgets/")
    assert page.get_by_text("is changed").is_visible()
    assert PeriodBudget.objects.get().amount == 2000
