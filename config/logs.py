"""How a log line looks: time, level, logger, message, then the structured facts as key=value. No secret is in it."""

from __future__ import annotations

import logging

from missions.secrets.redacting import redact

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request", "status_code"}


class LineFormatter(logging.Formatter):
    """One line a record; `extra` fields follow the message, `action` first."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in vars(record).items() if name not in STANDARD}
        ordered = sorted(facts, key=lambda name: (name != "action", name))
        line: str = redact(super().format(record) + "".join(f" {name}={facts[name]}" for name in ordered))
        return line
