"""The crash table of the bundled tools: their other sides, and its rows and words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psycopg

from missions.engine.dsn import conninfo
from missions.library.bundled.sql import KEY_TABLE
from missions.models import Mission
from tests.deaths.cells import Cell, Row, course
from tests.receivers import mail_server, receiver

ONLINE = ("sandbox.run_online", "sandbox.python_online")
TOOLS = ("email.send", "http.request", "http.keyed", "sql.execute", "mission.start", *ONLINE)
ROWS = (
    Row(point="after_intent"), Row(point="after_recheck"), Row(point="call_sent"), Row(point="call_answered"),
    Row(point="mid_flush", arrival=3, what=" of the outcome"), Row(point="after_outcome"),
)  # fmt: skip
BEGIN, END = "<!-- crash table of the bundled tools -->", "<!-- end of the crash table of the bundled tools -->"


class BundledSides:
    """A mail server, an HTTP server, a database and the missions themselves. Closed when it is left."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self._mail = stack.enter_context(mail_server())
            self._http = stack.enter_context(receiver())
            self._target = stack.enter_context(psycopg.connect(conninfo("target"), autocommit=True))
            self._stack = stack.pop_all()
        self._target.execute("drop schema if exists target cascade; create schema target; set search_path = target")
        self._target.execute("create table posted (cell text)")
        self._target.execute(KEY_TABLE)

    @property
    def environment(self) -> dict[str, str]:
        """What workers need to reach them."""
        return {
            "EMAIL_URL": f"smtp://127.0.0.1:{self._mail.port}/?from=bot@standfast.test&tls=off",
            "HTTP_TOOL_HOSTS": f"{self._place};private;keyed",
            "SQL_TARGETS": "stock=env:STOCK_DSN",
            "SANDBOX_PRIVATE_PLACES": self._place,
            "STOCK_DSN": conninfo("target") + " options='-c search_path=target'",
        }

    @property
    def _place(self) -> str:
        return f"127.0.0.1:{self._http.port}"

    def wanted(self, cell: Cell) -> dict[str, Any]:
        """What a cell's mission calls."""
        letter = {"to": [f"{cell.order.lower()}@example.org"], "subject": cell.order, "text": "Hello"}
        sent = {"method": "POST", "url": f"{self._http.url}/ok/{cell.order}", "body": "x"}
        args: dict[str, Any] = {
            "email.send": letter, "http.request": sent, "http.keyed": sent,
            "sql.execute": {
                "target": "stock", "statement": "insert into posted values ($1)", "parameters": [cell.order],
            },
            "mission.start": {"type": f"{cell.type}-child", "input": {}, "title": cell.order},
            "sandbox.run_online": {"command": shell(self._place, cell.order), "reach": [self._place]},
            "sandbox.python_online": {"code": python(self._place, cell.order), "reach": [self._place]},
        }[cell.tool]
        return {"tool": cell.tool, "args": args}

    @staticmethod
    def effect(cell: Cell) -> str:
        """The name of the tool."""
        return cell.tool

    def postings(self, cell: Cell) -> int:
        """How often it happened."""
        requests = self._requests(cell)
        if cell.tool == "http.keyed":  # this server counts a key once
            return len(set(requests))
        if cell.tool == "sql.execute":
            row = self._target.execute("select count(*) from posted where cell = %s", (cell.order,)).fetchone()
            return int(row[0]) if row else 0
        if cell.tool == "mission.start":
            return Mission.objects.filter(brief__title=cell.order).count()
        return len(requests)

    def requests(self, cell: Cell) -> int:
        """How often the other side heard of it, where it does not hear only of what happened."""
        return len(self._requests(cell)) if cell.tool == "http.keyed" else self.postings(cell)

    def posted(self, cell: Cell, key: str) -> bool:
        """Whether the call in doubt happened: none before it did."""
        return self.postings(cell) > 0

    def _requests(self, cell: Cell) -> Sequence[str]:
        if cell.tool == "email.send":
            return [text for _, to, text in self._mail.mails if to == [f"{cell.order.lower()}@example.org"]]
        return [got.headers.get("idempotency-key", "") for got in self._http.got if got.path == f"/ok/{cell.order}"]

    def close(self) -> None:
        """End them."""
        self._target.execute("drop schema target cascade")
        self._stack.close()


def shell(place: str, order: str) -> str:
    """A command that posts an order, through the proxy of its job."""
    asked = f"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n"
    sent = f"POST /ok/{order} HTTP/1.1\\r\\nHost: {place}\\r\\nContent-Length: 1\\r\\nConnection: close\\r\\n\\r\\nx"
    lines = (
        "exec 3<>/dev/tcp/127.0.0.1/3128", f'printf "{asked}" >&3', "read -r line <&3", "read -r line <&3",
        f'printf "{sent}" >&3', "cat <&3",
    )
    script = "; ".join(lines)
    return f"bash -c '{script}'"


def python(place: str, order: str) -> str:
    """The same in Python."""
    lines = (
        "import http.client", 'line = http.client.HTTPConnection("127.0.0.1", 3128)', f'line.set_tunnel("{place}")',
        f'line.request("POST", "/ok/{order}", b"x")', "print(line.getresponse().status)",
    )
    return "\n".join(lines)


def words(cells: Sequence[Cell]) -> dict[tuple[str, str], str]:
    """(tool, row) → what the table says there."""
    return {
        (cell.tool, cell.row.name): f"{course(cell)} ({cell.requests} → {cell.postings})" for cell in cells
    }


def rendered(found: dict[tuple[str, str], str]) -> list[str]:
    """The table as Markdown, one line a tool."""
    names = [row.name for row in ROWS]
    lines = [f"| dies at | {' | '.join(names)} |", f"|---{'|---' * len(ROWS)}|"]
    return lines + [f"| `{tool}` | {' | '.join(found[tool, name] for name in names)} |" for tool in TOOLS]


def documented(text: str) -> dict[tuple[str, str], str]:
    """The table in a document, between its markers, as `words` has it."""
    head, _, *lines = [
        [part.strip() for part in line.strip("|").split("|")]
        for line in text.split(BEGIN)[1].split(END)[0].strip().splitlines()
    ]
    return {(line[0].strip("`"), name): told for line in lines for name, told in zip(head[1:], line[1:], strict=True)}
