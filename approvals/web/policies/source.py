"""The YAML of a draft: written, read back, and where in it a rule or one of its fields stands.

Pure. What is written here is read back by `approvals.policies.files` as the same rules, whatever the texts hold;
characters that nobody would see are written as escapes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

import yaml

from approvals.policies import files
from approvals.policies.document import InvalidPolicy
from missions.web.parsers import faults

WIDTH: Final = 100
PLACE: Final = re.compile(r"line (\d+), column (\d+): (.*)", re.DOTALL)
PART: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
NUMBER_LIKE: Final = re.compile(r"^-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?$")


ORDER: Final = (
    "name", "scope", "when", "bar", "effect", "tiers", "evidence", "hold", "reason", "mission_type", "tool",
    "effect_class", "agent", "data_class", "decision_class", "group", "person", "attribute", "fallback", "any_of",
    "all_of", "quorum", "parallel", "distinct_from", "calendar", "sla", "expires", "on_expiry", "source", "max_age",
    "revalidate",
)  # fmt: skip


def ordered(value: Any) -> Any:
    """The value with its names in the order in which people write them: the database keeps none."""
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = sorted(value, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return {name: ordered(value[name]) for name in names}


class _Dumper(yaml.SafeDumper):
    """Quotes whatever any reader of YAML might take for something else than text; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Each value is written out."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Items of a list stand below their name, indented."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    hidden = any(_is_hidden(sign) for sign in text)
    block = "\n" in text and not hidden and not re.search(r"[ \t]\n|^\s|[ \t]$", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if hidden else "|" if block else None)


_Dumper.add_representer(str, _text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER_LIKE, list("-0123456789"))


def _is_hidden(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cf", "Cc", "Co", "Zl", "Zp") and sign != "\n"


def written(name: str, rules: list[Any], mode: str = "") -> str:
    """A policy file of these rules."""
    policy = {"name": name, **({"mode": mode} if mode else {}), "rules": ordered(rules)}
    text: str = yaml.dump(policy, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return "".join(_escaped(sign) if _is_hidden(sign) else sign for sign in text)


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why the text is no policy file, and where; line and column count from 1, 0 where that is not known."""

    message: str
    line: int = 0
    column: int = 0


def read(text: str) -> tuple[dict[str, Any], Fault | None]:
    """The one policy of a text as plain JSON with at least a list `rules`, or why there is none."""
    try:
        found = files.parsed(text.encode(errors="surrogatepass"), "")
    except InvalidPolicy as error:
        return {}, _located(str(error))
    is_policy = len(found) == 1 and isinstance(found[0], dict) and "rules" in found[0]
    policy: dict[str, Any] = found[0] if is_policy else {"rules": found}
    if not isinstance(policy["rules"], list) or not all(isinstance(rule, dict) for rule in policy["rules"]):
        return {}, Fault(message="It has no list of rules: write `rules:`, and begin each rule with a dash.")
    fault = next(iter(faults(policy)), None)
    if fault is not None:
        return {}, Fault(message=f"{fault[0]} {fault[1][1]}.")
    return policy, None


def _located(message: str) -> Fault:
    found = PLACE.search(message)
    if found is None:
        return Fault(message=message.removeprefix(": "))
    text = found[3][:1].upper() + found[3][1:]
    return Fault(message=text, line=int(found[1]), column=int(found[2]))


class Places:
    """Where the parts of a text stand, line and column from 1. The text has been read without a fault."""

    def __init__(self, text: str) -> None:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(root, yaml.SequenceNode) and len(root.value) == 1 and _child(root.value[0], "rules") is not None:
            root = root.value[0]
        rules = _child(root, "rules") if isinstance(root, yaml.MappingNode) else root
        self._rules = list(rules.value) if isinstance(rules, yaml.SequenceNode) else []

    def of(self, at: int, field: str) -> tuple[int, int]:
        """Of a rule's field, `tiers[0].quorum`: as near as the text has it; (1, 1) for a rule that is not there."""
        if at >= len(self._rules):
            return 1, 1
        node = self._rules[at]
        for index, name in PART.findall(field):
            inner = _item(node, int(index)) if index else _child(node, name)
            if inner is None:
                break
            node = inner
        return node.start_mark.line + 1, node.start_mark.column + 1


def _child(node: Any, name: str) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _item(node: Any, at: int) -> Any:
    return node.value[at] if isinstance(node, yaml.SequenceNode) and at < len(node.value) else None
