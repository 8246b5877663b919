"""The doors of the pages of policies: one for those who may read, one for those who may write.

Who these are is said by `approvals.policies.rights`; the verbs check the right to change by themselves once more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from approvals.policies.rights import may_edit, may_read

FORBIDDEN = 403
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def reads(view: View[P]) -> View[P]:
    """The view for those who may read; the others are told so, whether the policy exists or not."""
    return _guarded(view, may_read, "policies/may_not.html")


def writes(view: View[P]) -> View[P]:
    """The view for those who may write."""
    return _guarded(view, may_edit, "policies/may_not_edit.html")


def _guarded(view: View[P], may: Callable[[User | AnonymousUser], bool], template: str) -> View[P]:
    @login_required
    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not may_read(request.user):
            return render(request, "policies/may_not.html", status=FORBIDDEN)
        if not may(request.user):
            return render(request, template, status=FORBIDDEN)
        return view(request, *args, **kwargs)

    return guarded
