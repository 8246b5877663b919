"""The YAML of a draft that is being edited: read, and where in it a rule or one of its fields stands. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from approvals.policies import files
from approvals.policies.document import InvalidPolicy
from missions.web.parsers import faults

PLACE: Final = re.compile(r"line (\d+), column (\d+): (.*)", re.DOTALL)
PART: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


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
