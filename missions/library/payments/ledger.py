"""The ledger: what was paid, refunded and reversed, and every request that asked for it.

Owns DIR/ledger.sqlite3. Promises: a request is recorded, and committed, before anything is decided about it, also
before its key is looked up; both tables only grow; a key that was used once always means that first request.
Synchronous and single-threaded: between looking up and posting nothing else runs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

CURRENCY = "GBP"
PAID = "1500.00"
ORDERS = [f"ORD-{number}" for number in range(1001, 1201)]
CUSTOMERS = ("Ada Byrne", "Bilal Osman", "Carla Nunes", "Dev Patel", "Elin Strand", "Femi Ade", "Grace Lin", "Hugo Lee")
AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 5000;
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL, paid TEXT NOT NULL, currency TEXT NOT NULL, paid_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS payments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, idempotency_key TEXT, order_id TEXT NOT NULL REFERENCES orders (id),
    amount TEXT NOT NULL, currency TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('refund', 'reversal')),
    posted_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_by_key ON payments (idempotency_key);
CREATE INDEX IF NOT EXISTS payments_by_order ON payments (order_id);
CREATE TABLE IF NOT EXISTS reversals (
    refund_id INTEGER PRIMARY KEY REFERENCES payments (id), reversal_id INTEGER NOT NULL REFERENCES payments (id)
);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, tool TEXT NOT NULL, key TEXT NOT NULL,
    args_digest TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS requests_by_key ON requests (key) WHERE key <> '';
CREATE TRIGGER IF NOT EXISTS payments_stay BEFORE UPDATE ON payments BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS payments_kept BEFORE DELETE ON payments BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS requests_stay BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS requests_kept BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


class Declined(Exception):
    """The server refuses, and has changed nothing."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def digest(args: dict[str, Any]) -> str:
    """sha256 in hex over the arguments in canonical JSON; the key is not among them."""
    return hashlib.sha256(json.dumps(args, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def money(text: Any) -> Decimal:
    """A positive amount with at most two decimals. Raises Declined."""
    if not isinstance(text, str) or not AMOUNT.fullmatch(text) or not Decimal(text):
        raise Declined("invalid_amount", f"{text!r} is no amount: write a positive decimal with up to two places.")
    return Decimal(text)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


class Ledger:
    """The ledger in one directory."""

    def __init__(self, directory: Path) -> None:
        """Opens it, or creates it with the demo orders."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "ledger.sqlite3"
        self._database = sqlite3.connect(self.path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(SCHEMA)
        demo = [
            (order, CUSTOMERS[place % len(CUSTOMERS)], PAID, CURRENCY, "2026-01-05T09:00:00+00:00")
            for place, order in enumerate(ORDERS)
        ]
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?)", demo)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def record(self, tool: str, key: str, args: dict[str, Any]) -> None:
        """Write the request down; it is durable when this returns."""
        self._database.execute(
            "INSERT INTO requests (at, tool, key, args_digest) VALUES (?, ?, ?, ?)", (_now(), tool, key, digest(args))
        )

    def earlier(self, tool: str, key: str, args: dict[str, Any]) -> dict[str, Any] | None:
        """The receipt that this key got before. Raises Declined where the key stands for another request."""
        first = self._row("SELECT tool, args_digest FROM requests WHERE key = ? ORDER BY id LIMIT 1", key)
        if first is not None and (first["tool"], first["args_digest"]) != (tool, digest(args)):
            raise Declined("key_reused", "This idempotency key was used with another request.")
        return self.lookup(key)["receipt"]  # type: ignore[no-any-return]

    def order(self, order_id: str) -> dict[str, Any]:
        """An order and what of it can still be refunded. Raises Declined."""
        row = self._row("SELECT * FROM orders WHERE id = ?", order_id)
        if row is None:
            raise Declined("unknown_order", f"There is no order {order_id!r}.")
        refunded = self._refunded(order_id)
        return {
            **dict(row), "refunded": f"{refunded:.2f}", "refundable": f"{Decimal(row['paid']) - refunded:.2f}",
        }

    def history(self, order_id: str) -> dict[str, Any]:
        """What was paid for an order and what was posted since, oldest first. Raises Declined."""
        order = self.order(order_id)
        paid = {
            "reference": f"PAY-{order_id[4:]}", "order_id": order_id, "amount": order["paid"],
            "currency": order["currency"], "kind": "payment", "posted_at": order["paid_at"],
        }
        rows = self._database.execute("SELECT * FROM payments WHERE order_id = ? ORDER BY id", (order_id,))
        return {"order_id": order_id, "payments": [paid, *(_receipt(row) for row in rows)]}

    def refund(self, key: str, order_id: str, amount: str) -> dict[str, Any]:
        """Post a refund. Raises Declined for what the order does not cover."""
        asked, order = money(amount), self.order(order_id)
        if asked > Decimal(order["refundable"]):
            left = f"{order['refundable']} {order['currency']}"
            raise Declined("not_covered", f"{order_id} covers a refund of up to {left}, not {asked:.2f}.")
        return self._post(key, order_id, asked, "refund")

    def reverse(self, key: str, reference: str) -> dict[str, Any]:
        """Take a refund back. Raises Declined where there is none, or it was taken back before."""
        row = self._row("SELECT * FROM payments WHERE id = ? AND kind = 'refund'", _number(reference))
        if row is None:
            raise Declined("unknown_reference", f"There is no refund {reference!r}.")
        if self._row("SELECT 1 FROM reversals WHERE refund_id = ?", row["id"]) is not None:
            raise Declined("already_reversed", f"The refund {reference} was reversed before.")
        return self._post(key, row["order_id"], Decimal(row["amount"]), "reversal", reverses=row["id"])

    def lookup(self, key: str) -> dict[str, Any]:
        """Whether something was posted under this key, and its receipt."""
        row = self._row("SELECT * FROM payments WHERE idempotency_key = ? ORDER BY id LIMIT 1", key)
        receipt = None if row is None else _receipt(row)
        return {"found": row is not None, "receipt": receipt, "reference": receipt and receipt["reference"]}

    def _post(self, key: str, order_id: str, amount: Decimal, kind: str, reverses: int | None = None) -> dict[str, Any]:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            cursor = self._database.execute(
                "INSERT INTO payments (idempotency_key, order_id, amount, currency, kind, posted_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (key or None, order_id, f"{amount:.2f}", CURRENCY, kind, _now()),
            )
            if reverses is not None:
                self._database.execute("INSERT INTO reversals VALUES (?, ?)", (reverses, cursor.lastrowid))
        return _receipt(self._row("SELECT * FROM payments WHERE id = ?", cursor.lastrowid))

    def _refunded(self, order_id: str) -> Decimal:
        rows = self._database.execute("SELECT kind, amount FROM payments WHERE order_id = ?", (order_id,))
        return sum((Decimal(row["amount"]) * (1 if row["kind"] == "refund" else -1) for row in rows), Decimal(0))

    def _row(self, query: str, *values: Any) -> Any:
        return self._database.execute(query, values).fetchone()


def _receipt(row: Any) -> dict[str, Any]:
    named = ("order_id", "amount", "currency", "kind", "posted_at")
    prefix = "RF" if row["kind"] == "refund" else "RV"
    return {"reference": f"{prefix}-{row['id']:06d}", **{name: row[name] for name in named}}


def _number(reference: str) -> int:
    digits = reference.removeprefix("RF-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0
