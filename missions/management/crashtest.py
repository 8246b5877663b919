"""`manage.py mission crashtest`: an author's mission, killed at each position of its journal (docs/author-guide.md).

Works in a database of its own on the same server, which it drops afterwards. Exit status: 0 clean, 1 findings, 2 usage.
"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError

from missions.engine.registry import get_type
from missions.management.display import Display
from missions.management.inputs import USAGE, json_object
from missions.testing.crashtest import POSITIONS, Report, crashtest
from missions.testing.findings import as_json
from missions.testing.scratch import scratch_database


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("type", metavar="TYPE")
    parser.add_argument("--input", default="{}", metavar="FILE|JSON|-", help="a JSON object; - reads standard input")
    parser.add_argument("--positions", type=int, default=POSITIONS, metavar="N", help="at most so many crashes")
    parser.add_argument(
        "--signal", action="append", default=[], metavar="NAME=JSON", help="send this before it starts; may be repeated"
    )


def run(display: Display, options: dict[str, Any]) -> None:
    """Run the test and tell what it found. Raises CommandError, UnknownType, InvalidInput."""
    if options["positions"] < 1:
        raise CommandError("--positions wants 1 or more.", returncode=USAGE)
    signals = dict(_signal(word) for word in options["signal"])
    given = json_object(options["input"])
    get_type(options["type"]).check_input(given)  # before a database is made for it
    with scratch_database():
        report = crashtest(options["type"], given, positions=options["positions"], signals=signals)
    _tell(display, report)
    if report.findings:
        raise CommandError(f"{len(report.findings)} findings.", returncode=1)


def _signal(word: str) -> tuple[str, dict[str, Any]]:
    name, equals, payload = word.partition("=")
    if not (name and equals):
        raise CommandError(f"--signal wants NAME=JSON, not {word!r}.", returncode=USAGE)
    return name, json_object(payload)


def _tell(display: Display, report: Report) -> None:
    if display.as_json:
        found = [as_json(one) for one in report.findings]
        display.json({"cuts": report.cuts, "entries": report.entries, "seconds": report.seconds, "findings": found})
    display.line(f"Killed {report.cuts} times over {report.entries} entries, in {report.seconds:.1f} s.")
    for one in report.findings:
        where = f" ({one.cut}, {one.times} times)" if one.cut else ""
        display.line(f"{one.fault}{where}: {one.told}")
    if not report.findings:
        display.line("Nothing found.")
