"""What an MCP server's answer means: a result, certainly not done, or unknown.

Changes nothing. The rule: only what the protocol or the server's entry in the catalogue makes definite is definite.
Everything else of a tool that writes is unknown, since a server may fail after it acted.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import math
from typing import TYPE_CHECKING, Any

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.governance import EffectClass
from missions.secrets.redacting import redact
from missions.tools.servers import Code, Codes

if TYPE_CHECKING:
    from mcp.types import CallToolResult

LONGEST_WAIT_SECONDS = 86_400.0
MESSAGE_CHARACTERS = 500
# HTTP refusals that come before a handler could act (RFC 9110, section 15.5). Not 408 and 409: they may come later.
REFUSALS = frozenset({307, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 426, 428, 431, 451})
# JSON-RPC and MCP errors that the protocol answers before it calls the tool.
PROTOCOL_REFUSALS = frozenset({-32700, -32600, -32601, -32602, -32020, -32021, -32022})


def retry_after(header: str | None, now: dt.datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, a number or a date; None where it says nothing usable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _until(header, now or dt.datetime.now(dt.UTC))
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None


def _until(date: str, now: dt.datetime) -> float:
    try:
        at = email.utils.parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return (at.replace(tzinfo=at.tzinfo or dt.UTC) - now).total_seconds()


def of_status(status: int, wait: float | None, location: str = "") -> StandfastError:
    """What an HTTP answer without a JSON-RPC message means. `wait` is its Retry-After in seconds."""
    if status == 429 or (status == 503 and wait is not None):
        return TryLater(f"The server asks to wait (HTTP {status}).", retry_after_seconds=wait)
    if status in REFUSALS:
        towards = f" and points to {location}; change the url" if location else ""
        return ToolFailed(f"The server refused the request (HTTP {status}){towards}.", code=f"http_{status}")
    return OutcomeUnknown(f"The server answered HTTP {status}.", status=status)


def of_error(code: Code | None, message: str, data: Any, codes: Codes, effect: EffectClass) -> StandfastError:
    """What an error that the server reported means, by its code."""
    said = _shortened(message)
    if code in codes.retryable:
        wait = data.get("retry_after_seconds") if isinstance(data, dict) else None
        return TryLater(said, retry_after_seconds=retry_after(str(wait)) if wait is not None else None)
    if code in codes.declared or code in PROTOCOL_REFUSALS or effect is EffectClass.READ:
        return ToolFailed(said, code=str(code or "tool_failed"))
    return OutcomeUnknown(f"The tool failed with an error that it does not declare: {said} ({code})", code=str(code))


def of_result(result: CallToolResult, codes: Codes, effect: EffectClass) -> Any:
    """The structured content, else the text. Raises what an error result means."""
    text = "\n".join(block.text for block in result.content if block.type == "text")
    if not result.is_error:
        return text if result.structured_content is None else result.structured_content
    reported = _reported(result.structured_content, text)
    code = reported.get("code")
    message = str(reported.get("message") or text or "The tool failed.")
    raise of_error(code if isinstance(code, str | int) else None, message, reported, codes, effect)


def _reported(structured: Any, text: str) -> dict[str, Any]:
    """Where a tool's error result holds its code: `{code, message}`, `{error: {code, message}}`, or that as text."""
    found = structured
    if found is None and text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            return {}
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    return found if isinstance(found, dict) else {}


def _shortened(text: str) -> str:
    text = redact(text)  # first: a cut might leave the half of a secret
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"
