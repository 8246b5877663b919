"""System checks: a wrong catalogue of tools stops start-up, before anything runs."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from missions.tools.registry import all_tools
from missions.tools.servers import WrongCatalogue


@register("missions")
def tools(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """The file of MCP servers is readable, and each compensation is a tool that writes."""
    try:
        known = {spec.name: spec for spec in all_tools()}
    except (WrongCatalogue, ValueError) as error:
        return [Error(str(error), id="missions.E001")]
    return [
        Error(f"tool {spec.name}: its compensation {spec.compensate!r} is no tool known here", id="missions.E002")
        for spec in known.values()
        if spec.compensate and spec.compensate not in known
    ]
