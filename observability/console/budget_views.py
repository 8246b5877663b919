"""The pages of period budgets: the list, one budget, and its form. Complete without scripts.

Everybody who is signed in reads them; policy admins and administrators change them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.middleware import HtmxDetails

from approvals.budgets import asking, words
from approvals.models import Decision
from missions.engine import period_budgets
from missions.engine.period_budgets import Standing
from missions.errors import InvalidInput, UnknownBudget
from missions.models import Exhausted, PeriodBudget
from missions.web.access import may_budget
from observability.console.budget_form import BudgetForm
from observability.console.requests import SignedInRequest
from observability.console.words import Badge

WELL, USED, ASKS, WAITS, STOPPED = (
    Badge("Has room", "check", "ok"), Badge("Used up", "alert", "warn"), Badge("People are asked", "people", "human"),
    Badge("Waits for time", "timer", "info"), Badge("Refuses", "ban", "bad"),
)  # fmt: skip
ANSWERS = {"wait": WAITS, "stop": STOPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A budget in words."""

    standing: Standing
    badge: Badge
    subject: str
    period: str
    limit: str
    spent: str
    held: str
    left: str
    extension: str


@require_safe
@login_required
def budgets(request: SignedInRequest) -> HttpResponse:
    """All budgets. An htmx request gets the results alone."""
    rows = [_row(one) for one in period_budgets.standings(PeriodBudget.objects.order_by("name"))]
    htmx: HtmxDetails = request.htmx
    context = {"rows": rows, "may_budget": may_budget(request.user)}
    return render(request, "budgets/list.html#results" if htmx else "budgets/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: SignedInRequest) -> HttpResponse:
    """The form of a new budget; a good POST leads to the list, a bad one shows the form again with 422."""
    if not may_budget(request.user):
        return render(request, "budgets/may_not.html", status=403)
    form = BudgetForm(request.POST if request.method == "POST" else None)
    by = request.user.get_username()
    if request.method == "POST" and _kept(form, lambda: period_budgets.add(**form.values(), by=by)):
        return _done(request, "The budget is set.")
    return render(request, "budgets/form.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def budget(request: SignedInRequest, name: str) -> HttpResponse:
    """One budget, with the form to change it for those who may."""
    try:
        (standing,) = period_budgets.standings([period_budgets.named(name)])
    except UnknownBudget:
        return render(request, "budgets/missing.html", {"name": name}, status=404)
    if request.method == "POST" and not may_budget(request.user):
        return render(request, "budgets/may_not.html", status=403)
    form = BudgetForm(request.POST if request.method == "POST" else None, standing=standing)
    by = request.user.get_username()
    if request.method == "POST" and _kept(form, lambda: period_budgets.change(name, **form.values(), by=by)):
        return _done(request, f"The budget “{name}” is changed.")
    return render(request, "budgets/budget.html", _told(request, standing, form), status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Lift a budget; a GET, as by a reload, leads back."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("budget", args=[name]))
    if not may_budget(request.user):
        return render(request, "budgets/may_not.html", status=403)
    try:
        period_budgets.drop(name)
    except UnknownBudget:
        return render(request, "budgets/missing.html", {"name": name}, status=404)
    return _done(request, f"The budget “{name}” is lifted; who waited for it goes on.")


def _kept(form: BudgetForm, keep: Callable[[], Any]) -> bool:
    """Whether it was kept; the form holds the errors where it was not."""
    if form.is_valid():
        try:
            keep()
        except InvalidInput as refused:
            form.add_refusals(refused)
    return not form.errors


def _done(request: SignedInRequest, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("budgets"), status=303)


def _told(request: SignedInRequest, standing: Standing, form: BudgetForm) -> dict[str, Any]:
    found = standing.budget.accounts.filter(asked=True).order_by("-starts_at").first()
    decision = asking.decision_id(found.pk, found.rounds) if found is not None else None
    seen = Decision.objects.visible_to(request.user).filter(pk=decision) if decision is not None else None
    return {
        "row": _row(standing), "form": form, "may_budget": may_budget(request.user),
        "decision": seen.first() if seen is not None else None,
        "when_used_up": Exhausted(standing.budget.on_exhausted).label,
    }  # fmt: skip


def _row(standing: Standing) -> Row:
    budget = standing.budget
    left = standing.left
    used = ASKS if standing.asked else ANSWERS.get(standing.answer, USED)
    roomy = left > 0 and not standing.waiting and not standing.answer

    def said(amount: Decimal) -> str:
        return words.in_words(budget, amount)

    return Row(
        standing=standing, badge=WELL if roomy else used, subject=words.subject_in_words(budget),
        period=words.period_in_words(budget), limit=said(standing.limit), spent=said(standing.spent),
        held=said(standing.held), left=said(left), extension=said(budget.extension),
    )  # fmt: skip
