"""MCP servers as people see them: who described each, how it was last found, which of its tools changed. Contacts none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from missions.engine import tool_forms
from missions.errors import UnknownForm, UnknownServer
from missions.models import FormState, ServerVersion, ToolForm, ToolServer
from missions.tools import forms, learning, registered
from missions.tools.servers import Server

VERSIONS = 20
BLOCKED = (FormState.WAITING, FormState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A server, with what is known of it; `version` is that of the registration, None where the file describes it."""

    described: Server
    row: ToolServer
    blocked: Sequence[ToolForm]
    version: ServerVersion | None = None
    is_gone: bool = False  # it was taken away

    @property
    def source(self) -> str:
        """Who describes it: the `file`, or people who `registered` it."""
        return "file" if self.version is None else "registered"

    @property
    def name(self) -> str:
        """As it is called."""
        return self.described.name

    @property
    def versions(self) -> Sequence[ServerVersion]:
        """What people registered under its name, the newest first. One statement."""
        return list(ServerVersion.objects.filter(name=self.name).order_by("-number")[:VERSIONS])

    @property
    def transport(self) -> str:
        """How it is reached: `http`, or `stdio` as a command in the sandbox."""
        return "stdio" if self.described.command else "http"

    @property
    def state(self) -> str:
        """`new` before it was asked, else `reached` or `unreached`; `gone` where it was taken away."""
        if self.is_gone:
            return "gone"
        if self.row.failed_at is not None:
            return "unreached"
        return "reached" if self.row.reached_at is not None else "new"


def servers() -> list[Seen]:
    """All servers: those of the file in its order, then those that people registered, by name. A few statements."""
    learning.refresh()
    rows = ToolServer.objects.in_bulk()
    last = ServerVersion.objects.order_by("name", "-number").distinct("name").defer("document")
    versions = {one.name: one for one in last}
    blocked = list(ToolForm.objects.filter(state__in=BLOCKED).order_by("tool", "-seen_at"))
    return [
        Seen(
            described=one, row=rows.get(one.name) or ToolServer(name=one.name),
            blocked=[form for form in blocked if form.server == one.name],
            version=versions.get(one.name) if one.is_judged else None,
        )
        for one in registered.servers()
    ]


def server(name: str) -> Seen:
    """One server, also one that was taken away. Raises UnknownServer."""
    found = next((one for one in servers() if one.name == name), None)
    return found or _former(name)


def _former(name: str) -> Seen:
    described = registered.gone(name)
    version = ServerVersion.objects.filter(name=name, document__isnull=False).order_by("-number").first()
    if described is None or version is None:
        raise UnknownServer
    return Seen(described=described, row=ToolServer(name=name), blocked=(), version=version, is_gone=True)


def form(form_id: int) -> ToolForm:
    """One form of a tool. Raises UnknownForm."""
    found = ToolForm.objects.filter(pk=form_id).first()
    if found is None:
        raise UnknownForm
    return found


def differences(row: ToolForm) -> list[dict[str, Any]]:
    """How a form differs from the one that is accepted; nothing where it is that one."""
    accepted = ToolForm.objects.filter(tool=row.tool, state=FormState.ACCEPTED).first()
    return forms.differences(accepted.form if accepted else {}, row.form)


def decide(form_id: int, verdict: str, *, by: str, reason: str) -> ToolForm:
    """`accept` or `refuse` a form. Own transaction. Raises UnknownForm."""
    act = tool_forms.accept if verdict == "accept" else tool_forms.refuse
    return act(form_id, by=by, reason=reason)
