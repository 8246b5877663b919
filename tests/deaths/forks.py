"""Workers as forked children of a process that has imported everything once: each is there within a few hundredths.

`Forks` is the side of the test; `tests.deaths.nest` is that process. A child is a whole worker, with sessions and
threads of its own; it differs from `manage.py runmissions` in what it is told to run and to suffer.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.deaths.faults import Fault

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One child: what it runs, and what happens to it."""

    types: Mapping[str, str]  # mission types, each with the scene that it is
    faults: Sequence[Fault] = ()
    crash_at: str = ""  # a crash point, as STANDFAST_CRASH_AT takes it
    trace: str = ""  # a file that gets a line for each await that was reached
    concurrency: int = 20
    act: str = "work"  # a function of `tests.deaths.acts`
    given: Mapping[str, Any] = field(default_factory=dict)  # what the act gets
    log: str = os.devnull


class Forks:
    """The process that forks, and its children. Raises AssertionError where it does not start."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with open(log, "ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.deaths.nest"], cwd=ROOT, env=dict(environment), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )
        self.ended: dict[int, int] = {}  # pid → status
        assert self._ask({"ready": True}) == {"ready": True}, log.read_text()

    def _ask(self, line: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self.log.read_text()[-4000:]
        return json.loads(answer)

    def fork(self, order: Order) -> int:
        """The pid of a new child."""
        return int(self._ask({"fork": asdict(order)}))

    def look(self) -> dict[int, int]:
        """All children that have ended so far, with their exit status, negative for a signal."""
        self.ended.update({int(pid): status for pid, status in self._ask({"ended": True}).items()})
        return self.ended

    def signal(self, pid: int, number: int) -> None:
        """Signal a child that has not been seen to end."""
        if pid not in self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it and its children."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
