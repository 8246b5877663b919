"""A decent MCP server with a till, as a process: `python till_mcp.py LEDGER PORT [--no-dedup]`.

Tools: price (reads), pay (writes a line to LEDGER under its key), found (tells of a key). Each request for a payment is
one line `asked` before anything else, each payment one line `paid`. `python till_mcp.py --to HOST:PORT` is the same
over stdio: it hands each message on to a server elsewhere, as such servers do, by the proxy that a sandbox offers.
Standard library only.
"""

from __future__ import annotations

import http.client
import json
import os
import socketserver
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler
from typing import Any

DISCOVERED = {
    "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete", "ttlMs": 0,
    "cacheScope": "public",
}
PAYING = {"type": "object", "required": ["order", "amount"], "properties": {
    "order": {"type": "string"}, "amount": {"type": "integer"}, "key": {"type": "string"}}}  # fmt: skip
ASKING = {"type": "object", "required": ["order"], "properties": {"order": {"type": "string"}}}
FINDING = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}}
TOOLS = [{"name": name, "inputSchema": schema} for name, schema in
         (("price", ASKING), ("pay", PAYING), ("found", FINDING))]  # fmt: skip
LISTING = {"tools": TOOLS, "resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
turn = threading.Lock()


def written(path: str, **line: Any) -> None:
    """One more line, on the disk before anybody is told."""
    with open(path, "a") as ledger:
        ledger.write(json.dumps(line) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def lines(path: str) -> list[dict[str, Any]]:
    """All of them."""
    if not os.path.exists(path):
        return []
    with open(path) as ledger:
        return [json.loads(line) for line in ledger]


def called(path: str, dedup: bool, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """What a tool answers."""
    if name == "price":
        return {"order": args["order"], "price": 12}
    with turn:
        paid = [line for line in lines(path) if line["what"] == "paid" and line["key"] == args["key"]]
        if name == "found":
            return {"found": bool(paid), **({"receipt": {"paid": paid[0]["amount"]}} if paid else {})}
        written(path, what="asked", **args)
        if not (dedup and paid):
            written(path, what="paid", **args)
        return {"paid": args["amount"]}


def answered(message: dict[str, Any], path: str, dedup: bool) -> dict[str, Any] | None:
    """The answer to one message; None to what wants none."""
    if "id" not in message:
        return None
    method, params = message["method"], message.get("params") or {}
    if method == "tools/call":
        said = called(path, dedup, params["name"], params["arguments"])
        text = [{"type": "text", "text": json.dumps(said)}]
        content: dict[str, Any] = {"content": text, "structuredContent": said, "resultType": "complete"}
    else:
        content = {"server/discover": DISCOVERED, "tools/list": LISTING}.get(method, {})
    return {"jsonrpc": "2.0", "id": message["id"], "result": content}


class Handler(BaseHTTPRequestHandler):
    """Streamable HTTP, one answer a request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        said = answered(json.loads(self.rfile.read(int(self.headers["content-length"]))), *self.server.till)  # type: ignore[attr-defined]
        body = json.dumps(said).encode() if said else b""
        self.send_response(200 if said else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def handed_on(line: str, place: str) -> None:
    """Have another server answer one message."""
    proxy = urllib.parse.urlsplit(os.environ["http_proxy"])
    there = http.client.HTTPConnection(str(proxy.hostname), proxy.port)
    host, _, port = place.partition(":")
    there.set_tunnel(host, int(port))
    there.request("POST", "/mcp", line.encode(), {"content-type": "application/json"})
    if said := there.getresponse().read():
        print(said.decode(), flush=True)
    there.close()


def main() -> None:
    path, dedup = sys.argv[1], "--no-dedup" not in sys.argv
    if path == "--to":
        for line in sys.stdin:
            handed_on(line, sys.argv[2])
        return
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[2])), Handler) as server:
        server.till = path, dedup  # type: ignore[attr-defined]
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
