"""Writing policy files.

Pure. What is written here is read back by `approvals.policies.files` as the same rules, whatever the texts hold;
characters that nobody would see are written as escapes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

import yaml

WIDTH: Final = 100
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
    """A policy as a YAML file."""
    policy = {"name": name, **({"mode": mode} if mode else {}), "rules": ordered(rules)}
    text: str = yaml.dump(policy, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return "".join(_escaped(sign) if _is_hidden(sign) else sign for sign in text)


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
