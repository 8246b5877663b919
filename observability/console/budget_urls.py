"""Pages of period budgets, below /budgets/."""

from __future__ import annotations

from django.urls import path

from observability.console import budget_views

urlpatterns = [
    path("", budget_views.budgets, name="budgets"),
    path("new/", budget_views.new, name="budget-new"),
    path("of/<slug:name>/", budget_views.budget, name="budget"),
    path("of/<slug:name>/delete/", budget_views.delete, name="budget-delete"),
]
