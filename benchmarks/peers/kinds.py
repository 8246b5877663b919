"""Which peers there are, how each differs where workloads must know it, and whether it is installed here."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import PROJECT

PYTHON = Path(os.environ.get("PEERS_PYTHON") or PROJECT / ".venv-peers" / "bin" / "python")
ASK = "import sys, importlib.metadata as m; print(*(f'{n}=={m.version(n)}' for n in sys.argv[1:]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A peer."""

    name: str
    module: str
    packages: tuple[str, ...]  # the first names the version that is told
    journal: tuple[str, ...] = ()  # tables that hold nothing but what steps returned
    starter: str = "host"  # the role that starts a mission and sees its end soonest
    sender: str = "sender"  # the role that delivers a signal
    serves: bool = False  # it works only while told to
    hot: bool = False  # a waiting mission stays in memory, and comes back by recovery only


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="dbos", module="benchmarks.peers.with_dbos", packages=("dbos",), journal=("operation_outputs",),
            hot=True,
        ),
        Kind(
            name="langgraph", module="benchmarks.peers.with_langgraph",
            packages=("langgraph", "langgraph-checkpoint-postgres"), sender="host",
        ),
        Kind(
            name="absurd", module="benchmarks.peers.with_absurd", packages=("absurd-sdk", "absurdctl"),
            journal=("c_bench",), starter="sender", serves=True,
        ),
    )
}  # fmt: skip


def versions(kind: Kind) -> dict[str, str]:
    """The installed versions of a peer's packages; nothing where one of them is missing."""
    if not PYTHON.exists():
        return {}
    done = subprocess.run([PYTHON, "-c", ASK, *kind.packages], capture_output=True, text=True, check=False)
    return dict(word.split("==") for word in done.stdout.split()) if done.returncode == 0 else {}
