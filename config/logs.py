"""How a log line looks: time, level, logger, message, then the structured facts as key=value."""

from __future__ import annotations

import logging

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request", "status_code"}


class LineFormatter(logging.Formatter):
    """One line a record; `extra` fields follow the message, `action` first."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in vars(record).items() if name not in STANDARD}
        ordered = sorted(facts, key=lambda name: (name != "action", name))
        return super().format(record) + "".join(f" {name}={facts[name]}" for name in ordered)
