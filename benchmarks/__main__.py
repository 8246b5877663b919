"""`python -m benchmarks [ONLY=steps,wake] [PEERS=dbos,pgbench]`: measure, print a table, write benchmarks/results.json.

`make bench` calls it; both variables may also come from the environment; `PEERS=none` measures ours alone. Needs
nothing running, and leaves nothing. `python -m benchmarks.table` prints what the file holds.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.place import prepare

FOLDER = prepare()

from benchmarks.bench import Bench  # noqa: E402  (Django is set up only now)
from benchmarks.calm import Calm  # noqa: E402
from benchmarks.cluster import running  # noqa: E402
from benchmarks.peers.kinds import KINDS, versions  # noqa: E402
from benchmarks.results import FILE, Results  # noqa: E402
from benchmarks.workloads import (  # noqa: E402
    agents,
    idle,
    parked,
    policy_replay,
    queue_page,
    resume,
    ruling,
    sandbox,
    start_to_done,
    steps,
    stop,
    takeover,
    wake,
)

WORKLOADS = {  # in the order in which they run: an idle system has no missions that housekeeping has yet to check
    "idle": idle.run, "steps": steps.run, "start_to_done": start_to_done.run, "wake": wake.run,
    "takeover": takeover.run, "stop": stop.run, "resume": resume.run, "parked": parked.run, "ruling": ruling.run,
    "policy_replay": policy_replay.run, "queue_page": queue_page.run, "sandbox": sandbox.run, "agents": agents.run,
    "agent_ages": agents.run_ages,
}
WIDTH = 150  # of tables that go to a file
PEERS = ("pgbench", *KINDS, "none")


def chosen(name: str, known: tuple[str, ...], words: list[str]) -> list[str]:
    """The names in NAME=a,b of the command line or the environment; all of them where it is not given. Exits with 2."""
    given = next((word.partition("=")[2] for word in words if word.startswith(f"{name}=")), os.environ.get(name, ""))
    names = [part.strip() for part in given.split(",") if part.strip()]
    if strange := [part for part in names if part not in known]:
        print(f"benchmarks: {name}={','.join(strange)} is not known here; known: {', '.join(known)}", file=sys.stderr)
        raise SystemExit(2)
    return [part for part in known if part in names or not names]


def present(peer: str, results: Results) -> bool:
    """Whether a peer is here; its versions are kept, or it is told that it is not."""
    if peer not in KINDS:
        return peer != "none"
    found = versions(KINDS[peer])
    results.peers.update(found)
    if not found:
        packages = ", ".join(KINDS[peer].packages)
        results.console.print(f"{peer} is left out: {packages} not installed in .venv-peers (make peers)")
    return bool(found)


def main(words: list[str], folder: Path) -> None:
    """Run what was chosen. What was measured before a failure is kept."""
    only, wanted = chosen("ONLY", tuple(WORKLOADS), words), chosen("PEERS", PEERS, words)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    results = Results(console)
    peers = tuple(name for name in wanted if present(name, results))
    with running(folder) as cluster:
        bench = Bench(cluster=cluster, folder=folder, results=results, peers=peers, calm=Calm())
        try:
            for name in only:
                console.print(f"[bold]{name}[/] (load {os.getloadavg()[0]:.1f})")
                cluster.settle()
                results.timed(name, functools.partial(WORKLOADS[name], bench), bench.calm)
        finally:
            if results.measured:
                results.save(folder)
                results.show()
                console.print(f"written to {FILE}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # it leaves nothing behind then either
    try:
        main(sys.argv[1:], FOLDER)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
