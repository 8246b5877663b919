"""The MCP side of the payment server: its tools, their schemas and annotations, and the HTTP application.

Every refusal is a tool error with a code (`{code, message}`), so that a caller can tell it from an accident.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from missions.library.payments.faults import Faults, Unreliable
from missions.library.payments.ledger import Declined, Ledger

DEADLINE_META = "standfast/deadline"
ORDER = {"type": "string", "minLength": 1, "maxLength": 40, "description": "The order's number, like ORD-1001."}
KEY = {"type": "string", "minLength": 1, "maxLength": 200, "description": "The same key again posts nothing new."}
AMOUNT = {"type": "string", "description": "A positive decimal with up to two places, like 120.50."}
REASON = {"type": "string", "maxLength": 500}
READS = ToolAnnotations(read_only_hint=True)
POSTS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def _tool(name: str, title: str, required: dict[str, Any], optional: dict[str, Any], hints: ToolAnnotations) -> Tool:
    schema = {
        "type": "object", "properties": {**required, **optional}, "required": list(required),
        "additionalProperties": False,
    }
    return Tool(name=name, title=title, input_schema=schema, annotations=hints)


TOOLS = [
    _tool("orders.get", "Fetch order", {"order_id": ORDER}, {}, READS),
    _tool("payments.history", "Fetch payment history", {"order_id": ORDER}, {}, READS),
    _tool("payments.lookup", "Look up a posting by its key", {"idempotency_key": KEY}, {}, READS),
    _tool("payments.refund", "Issue refund", {"order_id": ORDER, "amount": AMOUNT},
          {"reason": REASON, "idempotency_key": KEY}, POSTS),
    _tool("payments.reverse", "Reverse refund", {"reference": {"type": "string", "maxLength": 40}},
          {"reason": REASON, "idempotency_key": KEY}, POSTS),
]
SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS}
READING = {tool.name for tool in TOOLS if tool.annotations is READS}


class PaymentTools:
    """The tools over one ledger."""

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger, self._faults = ledger, faults

    async def call(self, context: Any, params: CallToolRequestParams) -> CallToolResult:
        """Answer one call; the request is in the ledger before anything is decided about it."""
        args = params.arguments or {}
        try:
            _check(params.name, args)
            self._ledger.record(params.name, _key(params.name, args), _without_key(args))
            answer = _answer(await self._done(params.name, args, _deadline(context.meta or {})))
        except Declined as refusal:
            answer = _answer({"code": refusal.code, "message": str(refusal)}, is_error=True)
        if self._faults.slow:
            await asyncio.sleep(self._faults.slow)
        return answer

    async def _done(self, tool: str, args: dict[str, Any], deadline: dt.datetime | None) -> dict[str, Any]:
        if deadline is not None and dt.datetime.now(dt.UTC) > deadline:
            raise Declined("deadline_passed", f"The call's deadline was {deadline.isoformat()}.")
        if tool in READING:
            return self._read(tool, args)
        key = args.get("idempotency_key", "")
        if key and self._faults.dedup and (receipt := self._ledger.earlier(tool, key, _without_key(args))):
            return receipt
        if tool == "payments.refund":
            receipt = self._ledger.refund(key, args["order_id"], args["amount"])
        else:
            receipt = self._ledger.reverse(key, args["reference"])
        await self._faults.after_posting()
        return receipt

    def _read(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        read: Callable[[str], dict[str, Any]] = {
            "orders.get": self._ledger.order,
            "payments.history": self._ledger.history,
            "payments.lookup": self._ledger.lookup,
        }[tool]
        return read(next(iter(args.values())))


def _check(tool: str, args: dict[str, Any]) -> None:
    """Types and names by the tool's schema; amounts are judged by the ledger. Raises Declined."""
    schema = SCHEMAS.get(tool)
    if schema is None:
        raise Declined("unknown_tool", f"There is no tool {tool!r}.")
    if missing := [name for name in schema["required"] if name not in args]:
        raise Declined("invalid_arguments", f"Missing: {', '.join(missing)}.")
    for name, value in args.items():
        rule = schema["properties"].get(name)
        if rule is None:
            raise Declined("invalid_arguments", f"There is no argument {name!r}.")
        if name != "amount" and not _fits(value, rule):
            raise Declined("invalid_arguments", f"{name} wants text of {rule.get('maxLength')} characters at most.")


def _fits(value: Any, rule: dict[str, Any]) -> bool:
    fits = isinstance(value, str) and rule.get("minLength", 0) <= len(value) <= rule["maxLength"]
    return fits and "\x00" not in value


def _key(tool: str, args: dict[str, Any]) -> str:
    return "" if tool in READING else str(args.get("idempotency_key", ""))


def _without_key(args: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if name != "idempotency_key"}


def _deadline(meta: Any) -> dt.datetime | None:
    said = meta.get(DEADLINE_META)
    if said is None:
        return None
    try:
        at = dt.datetime.fromisoformat(said)
    except (TypeError, ValueError):
        raise Declined("invalid_arguments", f"{DEADLINE_META} wants a time of RFC 3339.") from None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _answer(content: dict[str, Any], *, is_error: bool = False) -> CallToolResult:
    text = content.get("message") or ", ".join(f"{name} {value}" for name, value in content.items())
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=content, is_error=is_error
    )


def _server(ledger: Ledger, faults: Faults) -> Server[Any]:
    tools = PaymentTools(ledger, faults)

    async def listing(context: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=TOOLS)

    return Server(
        "demo-payments", version="1", title="Demo payment server",
        get_tool_input_schema=SCHEMAS.get, on_list_tools=listing, on_call_tool=tools.call,
    )


async def over_stdio(ledger: Ledger, faults: Faults) -> None:
    """Serve whoever holds the standard streams, until they end."""
    server = _server(ledger, faults)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def application(ledger: Ledger, faults: Faults) -> ASGIApp:
    """The HTTP application: /mcp, /healthz and /faults."""
    app = _server(ledger, faults).streamable_http_app(
        stateless_http=True, json_response=True, custom_starlette_routes=_routes(faults)
    )
    app.user_middleware.append(Middleware(Unreliable, faults=faults))
    return app


def _routes(faults: Faults) -> list[Route]:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def show(request: Request) -> Response:
        return JSONResponse(faults.model_dump())

    async def change(request: Request) -> Response:
        if "json" not in request.headers.get("content-type", ""):
            return JSONResponse({"detail": "Send JSON."}, status_code=415)
        try:
            wanted = Faults.model_validate({**faults.model_dump(), **await request.json()})
        except (ValidationError, ValueError, TypeError) as error:
            return JSONResponse({"detail": str(error)}, status_code=422)
        for name, value in wanted:
            setattr(faults, name, value)
        return JSONResponse(faults.model_dump())

    return [
        Route("/healthz", healthz),
        Route("/faults", show, methods=["GET"]),
        Route("/faults", change, methods=["POST"]),
    ]
