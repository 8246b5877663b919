"""The pages of one MCP server: what is said of it, its versions; for administrators the form that registers it.

Complete without scripts. Each view parses, authorises, calls one verb, renders.
"""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from missions.engine.registered_servers import REASON_CHARACTERS, Author
from missions.errors import InvalidInput, ServerChanged, UnknownServer
from missions.tools import registering, server_text
from missions.web import tool_servers
from missions.web.access import may_read_servers, may_register_servers
from missions.web.dressing import DressedForm
from missions.web.tool_servers import Seen
from observability.console import server_views
from observability.console.requests import SignedInRequest


class ServerForm(DressedForm):
    """A description as text, why, and the version that was looked at."""

    text = forms.CharField(
        label="Description", strip=False, max_length=server_text.TEXT_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "autocomplete": "off"}),
        help_text="As in the file of MCP servers, for one server. Secrets as ${db:NAME}, in headers alone.",
    )  # fmt: skip
    reason = forms.CharField(label="Reason", required=False, max_length=REASON_CHARACTERS)
    base = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def dress(self) -> None:
        """The description looks like what it is."""
        super().dress()
        self.fields["text"].widget.attrs["class"] = "textarea textarea--code"

    def registered(self, by: str, *, name: str = "") -> str:
        """Register it; its name, or nothing where the form holds the errors. `name` is that of the server changed."""
        if not self.is_valid():
            return ""
        said = self.cleaned_data
        try:
            document = server_text.document_of(said["text"])
            if name and document.get("name") != name:
                raise InvalidInput(errors=[{"field": "name", "message": f"This page is about {name}."}])
            author = Author(by=by, via="console", reason=said["reason"])
            version, _ = registering.register(document, author, base=said["base"])
        except InvalidInput as refused:
            self.add_error("text", server_text.told(said["text"], refused.errors))
        except ServerChanged as refused:
            self.add_error(None, str(refused))
        else:
            return version.name
        self.mark("text")
        return ""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: SignedInRequest) -> HttpResponse:
    """The form of a new server."""
    if not may_register_servers(request.user):
        return render(request, "tools/server_may_not.html", status=403)
    form = ServerForm(request.POST if request.method == "POST" else None, initial={"base": 0}, label_suffix="")
    form.dress()
    if form.is_bound and (name := form.registered(request.user.get_username())):
        return _done(request, name, "The server is registered; workers ask it for its tools now.")
    context = {"form": form, "sample": server_text.SAMPLE}
    return render(request, "tools/server_new.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def server(request: SignedInRequest, name: str) -> HttpResponse:
    """One server; a POST says anew what it is."""
    try:
        found = tool_servers.server(name)
    except UnknownServer as unknown:
        return _missing(request, unknown)
    if request.method != "POST":
        return _page(request, found, _form(found))
    if not may_register_servers(request.user) or found.version is None:
        return _page(request, found, _form(found), status=403)
    form = ServerForm(request.POST, label_suffix="")
    form.dress()
    if form.registered(request.user.get_username(), name=name):
        return _done(request, name, "The server is registered as you say now.")
    return _page(request, found, form, status=422)


@require_POST
@login_required
def remove(request: SignedInRequest, name: str) -> HttpResponse:
    """Take a registered server away, as it was looked at."""
    if not may_register_servers(request.user):
        return render(request, "tools/server_may_not.html", status=403)
    author = Author(by=request.user.get_username(), via="console", reason=request.POST.get("reason", ""))
    base = request.POST.get("base", "")
    try:
        registering.remove(name, author, base=int(base) if base.isdecimal() else None)
    except UnknownServer as unknown:
        return _missing(request, unknown)
    except ServerChanged as refused:
        messages.error(request, str(refused))
        return HttpResponseRedirect(reverse("tool-server", args=[name]), status=303)
    messages.success(request, f"The server “{name}” is taken away: its tools are called no more.")
    return HttpResponseRedirect(reverse("tools"), status=303)


def _form(found: Seen) -> ServerForm | None:
    """The form that shows what is registered; None for a server of the file."""
    if found.version is None:
        return None
    initial = {"text": server_text.text_of(found.version.document or {}), "base": found.versions[0].number}
    form = ServerForm(initial=initial, label_suffix="")
    form.dress()
    return form


def _page(request: SignedInRequest, found: Seen, form: ServerForm | None, status: int = 200) -> HttpResponse:
    may_read = may_read_servers(request.user)
    context = {
        "server": found, "badge": server_views.SERVERS[found.state], "form": form,
        "may_register": may_register_servers(request.user), "versions": found.versions if may_read else [],
        "blocked": [(one, server_views.FORMS[one.state]) for one in found.blocked],
        "text": server_text.text_of(found.version.document or {}) if found.version and may_read else "",
    }
    return render(request, "tools/server.html", context, status=status)


def _missing(request: SignedInRequest, unknown: UnknownServer) -> HttpResponse:
    return render(request, "tools/server_missing.html", {"why": str(unknown)}, status=404)


def _done(request: SignedInRequest, name: str, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("tool-server", args=[name]), status=303)
