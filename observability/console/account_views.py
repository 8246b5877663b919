"""The page of whoever is signed in: where they are signed in, and their API tokens. Complete without scripts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from missions.models import ApiToken
from missions.models.fields import DatabaseNow
from missions.web import signing_in, tokens
from observability.console.requests import SignedInRequest
from observability.console.steer_forms import SteerForm

MOST_DAYS = 3650
DAYS = 90


class TokenForm(SteerForm):
    """What a new token may do, and for how long."""

    label = forms.CharField(label="What it is for", max_length=100)
    days = forms.IntegerField(label="Days until it expires", min_value=1, max_value=MOST_DAYS, initial=DAYS)
    scopes = forms.MultipleChoiceField(
        label="Scopes", choices=[(scope, scope) for scope in tokens.SCOPES], required=False,
        widget=forms.CheckboxSelectMultiple, help_text="None: all that you may do yourself.",
    )


class AgentTokenForm(TokenForm):
    """The same for administrators: nobody else says for which agent a token stands, for policies rely on it."""

    field_order = ("label", "agent")
    agent = forms.CharField(
        label="Agent that acts with it", max_length=100, required=False,
        help_text="Policies rule by this name on what is asked with the token from outside.",
    )

    def clean_agent(self) -> str:
        """A name, or none."""
        agent: str = self.cleaned_data["agent"]
        if agent and tokens.wrong_agent(agent):
            raise forms.ValidationError(f"Give {tokens.AGENT_FORM}.")
        return agent


def _form(user: User, data: QueryDict | None = None) -> TokenForm:
    return AgentTokenForm(data) if user.is_superuser else TokenForm(data)


@require_safe
@login_required
def account(request: SignedInRequest) -> HttpResponse:
    """Sessions and tokens."""
    return _page(request, _form(request.user))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def end_sessions(request: SignedInRequest) -> HttpResponse:
    """End one session (`session`), or all but this one; a GET leads back."""
    if request.method == "POST":
        which, here = request.POST.get("session", ""), request.session.session_key
        only = int(which) if which.isascii() and which.isdigit() and len(which) < 18 else None
        ended = signing_in.end(request.user, only=only) if which else signing_in.end(request.user, but=here)
        messages.success(request, f"{ended} session{'' if ended == 1 else 's'} ended.")
    return HttpResponseRedirect(reverse("account"), status=303 if request.method == "POST" else 302)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_token(request: SignedInRequest) -> HttpResponse:
    """Make a token and show its secret, once; a GET leads back."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("account"))
    form = _form(request.user, request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    facts = form.cleaned_data
    token, secret = tokens.issue(
        request.user, scopes=tuple(facts["scopes"]), days=facts["days"], label=facts["label"],
        agent=facts.get("agent", ""),
    )
    return _page(request, _form(request.user), made=token, secret=secret)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def revoke_token(request: SignedInRequest, token_id: int) -> HttpResponse:
    """Revoke one of one's own tokens; again changes nothing. A GET leads back. Raises Http404 for others'."""
    if request.method == "POST":
        token = get_object_or_404(ApiToken, pk=token_id, user=request.user)
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=DatabaseNow()):
            messages.success(request, "The token is revoked.")
        else:
            messages.info(request, "That token is not in force.")
    return HttpResponseRedirect(reverse("account"), status=303 if request.method == "POST" else 302)


def _page(request: SignedInRequest, form: TokenForm, status: int = 200, **more: Any) -> HttpResponse:
    own = ApiToken.objects.filter(user=request.user, revoked_at=None).order_by("-created_at", "-pk")
    context = {
        "form": form, "tokens": own, "sign_ins": signing_in.going_on(request.user),
        "here": request.session.session_key, **more,
    }
    return render(request, "account/account.html", context, status=status)
