"""Run inside Django, in a process of its own (`System.inside`): starts the missions that the environment names."""

from __future__ import annotations

import json
import os
import sys

from missions.engine.starting import start


def main() -> None:
    """Start `HARM`, as in `test.innocent*50 test.killer`; print their ids."""
    ids = []
    for word in os.environ["HARM"].split():
        kind, _, count = word.partition("*")
        ids += [start(kind, {})[0].pk for _ in range(int(count or 1))]
    json.dump(ids, sys.stdout)
