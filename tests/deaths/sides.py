"""The other sides of the crash table: real payment servers, described once for each retry safety."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.payment_server import ROOT, PaymentServer

if TYPE_CHECKING:
    from tests.deaths.cells import Cell

AMOUNT = "9.00"
CLASSES = ("read", "keyed", "verifiable", "manual", "irreversible")
TIMEOUT_SECONDS = 20.0


class Sides:
    """The other sides: one payment server that deduplicates keys, for keyed tools, and one that ignores them."""

    def __init__(self, folder: Path) -> None:
        self._servers = {}
        for name, options in (("keyed", ()), ("others", ("--no-dedup",))):
            (folder / name).mkdir()
            self._servers[name] = PaymentServer(folder / name, *options)
        self.catalogue = folder / "mcp-servers.yaml"
        self.catalogue.write_text(yaml.safe_dump([self._described(name) for name in CLASSES]))

    def _of(self, tool: str) -> PaymentServer:
        return self._servers["keyed" if tool == "keyed" else "others"]

    def _described(self, name: str) -> dict[str, Any]:
        kind = "-verifiable" if name == "verifiable" else "-manual" if name in ("manual", "irreversible") else ""
        (server,) = yaml.safe_load((ROOT / "deploy" / f"mcp-servers{kind}.yaml").read_text())
        refund, back = server["tools"]["payments.refund"], server["tools"]["payments.reverse"]
        refund["timeout"] = back["timeout"] = TIMEOUT_SECONDS
        refund["compensate"] = f"{name}.payments.reverse"
        if name == "irreversible":
            refund["effect"] = "irreversible"
            del refund["compensate"]
        return {**server, "name": name, "prefix": f"{name}.", "url": self._of(name).url}

    @staticmethod
    def wanted(cell: Cell) -> dict[str, Any]:
        """What a cell's mission calls."""
        if cell.tool == "read":
            return {"tool": "read.orders.get", "args": {"order_id": cell.order}}
        return {"tool": f"{cell.tool}.payments.refund", "args": {"order_id": cell.order, "amount": AMOUNT}}

    @staticmethod
    def effect(cell: Cell) -> str:
        """The end of the name of the tool that it changes something with."""
        return "payments.refund"

    def postings(self, cell: Cell) -> int:
        """How many refunds its order got."""
        return len(self._of(cell.tool).refunds(cell.order))

    def posted(self, cell: Cell, key: str) -> bool:
        """Whether a call with this key was posted."""
        rows = "SELECT count(*) FROM payments WHERE idempotency_key = ?"
        return bool(self._of(cell.tool).rows(rows, key)[0][0])

    def requests(self, cell: Cell) -> int:
        """How often the other side was asked under its keys."""
        return sum(self._of(cell.tool).requests(key) for key in cell.keys)

    def close(self) -> None:
        """End both."""
        for server in self._servers.values():
            server.stop()
