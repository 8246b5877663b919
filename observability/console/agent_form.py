"""The form of a version of an agent. The verb's own check has the last word; the form keeps what was typed and shows
errors by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.http import QueryDict

from missions import data_classes
from missions.agents.checking import INSTRUCTIONS_BYTES, TITLE_CHARACTERS
from missions.agents.offered import offerable
from missions.agents.versions import NOTE_CHARACTERS
from missions.errors import InvalidInput
from missions.models import AgentVersion, Isolation, MemoryScope
from missions.tools import learning
from missions.web.dressing import DressedForm
from observability.console.tool_views import CLASSES

NO_LEVEL: Final = ("", "None: only what bears no class")
FIELDS: Final = {
    "tools": "more_tools", "data_classes": "labels", "budget.turns": "turns", "budget.tokens": "tokens",
    "budget.cost": "cost", "budget": "turns",
}  # as the verb names them, and where the form shows what is wrong


class AgentForm(DressedForm):
    """What a version says; of a new agent its name too."""

    name = forms.CharField(label="Name", max_length=100, help_text="Lower-case letters, digits and -. It stays.")
    title = forms.CharField(label="Title", max_length=TITLE_CHARACTERS, help_text="What people call it.")
    instructions = forms.CharField(
        label="Instructions", max_length=INSTRUCTIONS_BYTES, widget=forms.Textarea(attrs={"rows": 12}),
        help_text="What it is for, and how it is to work. At most 64 KiB; nothing that it reads is ever added to them.",
    )
    llm = forms.CharField(
        label="LLM", required=False, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="PROVIDER/MODEL, one a line, in the order of trial. Empty: the chain for all (LLM_CHAIN).",
    )
    tools = forms.MultipleChoiceField(label="Tools", required=False)
    more_tools = forms.CharField(
        label="Further tools", required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="Names or globs, one a line, as in orders.*; agent:NAME hands work to another agent.",
    )
    level = forms.ChoiceField(
        label="Cleared for data up to", required=False, initial=data_classes.DEFAULT[0],
        choices=(NO_LEVEL, *((one, one) for one in data_classes.LEVELS)),
        help_text="Never more than its mission. Above internal it demands isolation.",
    )
    labels = forms.CharField(label="Labels", required=False, help_text="Of data, with spaces between, as in regulated.")
    turns = forms.IntegerField(label="Turns", required=False, help_text="At most so many calls of an LLM in one call.")
    tokens = forms.IntegerField(label="Tokens", required=False, help_text="In one call of the agent.")
    cost = forms.CharField(label="Cost", required=False, max_length=30, help_text="In one call, as in 2.50.")
    memory_scope = forms.ChoiceField(label="Memory", choices=MemoryScope.choices)
    egress = forms.CharField(
        label="May reach", required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="HOST:PORT, one a line: what its tools that run in isolation may connect to. Empty: nothing.",
    )
    isolation = forms.ChoiceField(label="Isolation", required=False, choices=Isolation.choices)
    note = forms.CharField(
        label="Why", required=False, max_length=NOTE_CHARACTERS, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It stays with the version.",
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None = None, *, version: AgentVersion | None = None, is_new: bool) -> None:
        learning.refresh()
        super().__init__(data, auto_id="id_%s", label_suffix="", initial=_initial(version) if version else None)
        if not is_new:
            del self.fields["name"]
        offered: Any = self.fields["tools"]
        offered.choices = [(tool.name, tool.title) for tool in offerable()]
        for name in ("turns", "tokens"):
            self.fields[name].widget = forms.TextInput(attrs={"inputmode": "numeric"})
        self.dress()
        self.fields["instructions"].widget.attrs["class"] += " agent-instructions"

    def picks(self) -> list[dict[str, Any]]:
        """The tools that can be picked, with what each does to the world, and whether it is."""
        chosen = set(self["tools"].value() or ())
        return [{"tool": tool, "badge": CLASSES[tool.effect], "chosen": tool.name in chosen} for tool in offerable()]

    def said(self) -> dict[str, Any]:
        """What `versions.create` and `save` take."""
        given = self.cleaned_data
        budget = {name: given[name] for name in ("turns", "tokens", "cost") if given[name] not in (None, "")}
        return {
            "title": given["title"], "instructions": given["instructions"], "llm": _lines(given["llm"]),
            "tools": [*given["tools"], *_lines(given["more_tools"])],
            "data_classes": [given["level"], *given["labels"].replace(",", " ").split()], "budget": budget,
            "memory_scope": given["memory_scope"], "egress": _lines(given["egress"]), "isolation": given["isolation"],
        }

    def add_refusals(self, refused: InvalidInput) -> None:
        """Show the verb's errors beside their fields."""
        for error in refused.errors:
            named = str(error["field"])
            field = FIELDS.get(named, named)
            self.add_error(field if field in self.fields else None, str(error["message"]))
            self.mark(field)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


def _initial(version: AgentVersion) -> dict[str, Any]:
    """A version as the form shows it."""
    known = {tool.name for tool in offerable()}
    levels = [one for one in version.data_classes if one in data_classes.LEVELS]
    return {
        "title": version.title, "instructions": version.instructions, "llm": "\n".join(version.llm),
        "tools": [one for one in version.tools if one in known],
        "more_tools": "\n".join(one for one in version.tools if one not in known),
        "level": levels[0] if levels else "", "labels": " ".join(_without(version.data_classes, levels)),
        "turns": version.budget.get("turns"), "tokens": version.budget.get("tokens"),
        "cost": version.budget.get("cost", ""), "memory_scope": version.memory_scope,
        "egress": "\n".join(version.egress), "isolation": version.isolation, "base": version.number,
    }


def _without(names: Sequence[str], gone: Sequence[str]) -> list[str]:
    return [one for one in names if one not in gone]
