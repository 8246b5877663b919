"""`python -m benchmarks.table [DOCUMENT]`: what benchmarks/results.json holds, as Markdown.

Prints it, or puts it into the document between the two comments that mark its place. Reads only that file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import FILE, OURS, Ratio, shown, verdict

PLACE = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
UNITS = {"us": "µs", "1/s": "/s", "bytes": "bytes", "ratio": ""}


def markdown(results: dict[str, Any]) -> str:
    """The goals, then every row, then where and when it was measured."""
    lines = ["### Goals", "", *goals(results), "", "### Rows", "", *rows(results), "", *circumstances(results)]
    return "\n".join(lines)


def goals(results: dict[str, Any]) -> Iterable[str]:
    """Ours over the peer's, or ours against a limit: each with its goal."""
    yield from _head("workload", "at", "metric", "against", "value", "goal", "met")
    for ratio in (Ratio(**facts) for facts in results["ratios"]):
        goal, met = verdict(ratio)
        words = met if met in ("yes", "–") else f"**{met}**"
        facts = (ratio.concurrency, ratio.metric, ratio.against, shown(ratio.value), goal, words)
        yield _line(f"`{ratio.workload}`", *facts)


def rows(results: dict[str, Any]) -> Iterable[str]:
    """Medians of every system, ours first; ratios are in the goals."""
    yield from _head("workload", "at", "metric", "system", "median", "low – high", "runs")
    for row in results["rows"]:
        if row["unit"] != "ratio":
            unit = UNITS.get(row["unit"], row["unit"])
            system = f"**{OURS}**" if row["system"] == OURS else row["system"]
            spread = "" if row["low"] == row["high"] else f"{shown(row['low'])} – {shown(row['high'])}"
            figure = f"{shown(row['median'])} {unit}"
            yield _line(f"`{row['workload']}`", row["concurrency"], row["metric"], system, figure, spread, row["runs"])


def circumstances(results: dict[str, Any]) -> Iterable[str]:
    """Machine, versions, and how busy others kept the machine during each workload."""
    machine = results["machine"]
    system = machine["system"].split()[0]
    yield (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {system}; a flush "
        f"takes {machine['flush_ms']} ms ({machine['flush_ms_low']} – {machine['flush_ms_high']})."
    )
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + "."
    yield ""
    yield from _head("workload", "seconds", "load before – after", "undisturbed rounds", "cores used by others")
    for name, facts in results["measured"].items():
        load = f"{facts['load_before']} – {facts['load_after']}"
        calm = f"{facts['calm_rounds']} of {facts['rounds']}" if facts["rounds"] else "not by rounds"
        yield _line(f"`{name}`", facts["seconds"], load, calm, facts["cores_of_others"][1] if facts["rounds"] else "")


def _head(*names: str) -> Sequence[str]:
    return _line(*names), "|" + "---|" * len(names)


def _line(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


def main(words: Sequence[str]) -> None:
    """Print, or fill a document in. Exits with 2 where there are no results, or no place for them."""
    if not FILE.exists():
        raise SystemExit(f"benchmarks: {FILE} is not there: run `make bench` first")
    text = markdown(json.loads(FILE.read_text()))
    if not words:
        print(text)
        return
    document = Path(words[0])
    filled, places = PLACE.subn(lambda place: f"{place[1]}\n{text}\n\n{place[2]}", document.read_text())
    if not places:
        raise SystemExit(f"benchmarks: {document} has no <!-- results --> … <!-- /results -->")
    document.write_text(filled)


if __name__ == "__main__":
    main(sys.argv[1:])
