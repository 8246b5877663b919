"""The other sides of the crash table: real payment servers, described once for each retry safety."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.payment_server import ROOT, PaymentServer

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

    def postings(self, tool: str, order: str) -> int:
        """How many refunds an order got."""
        return len(self._of(tool).refunds(order))

    def posted(self, tool: str, key: str) -> bool:
        """Whether a call with this key was posted."""
        rows = "SELECT count(*) FROM payments WHERE idempotency_key = ?"
        return bool(self._of(tool).rows(rows, key)[0][0])

    def requests(self, tool: str, keys: set[str]) -> int:
        """How often the other side was asked under these keys."""
        return sum(self._of(tool).requests(key) for key in keys)

    def close(self) -> None:
        """End both."""
        for server in self._servers.values():
            server.stop()
