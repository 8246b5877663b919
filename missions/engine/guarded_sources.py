"""The clocks and sources of randomness that guarded code may not read, and how that is noticed.

Functions of modules are replaced by readers that refuse the author's own calls and pass all others on, so that
libraries, asyncio and the engine go on as before. Methods of immutable types, and names that were imported before, are
found by inspection of the source.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.utils import crypto, timezone

from missions.engine import guard, inspection
from missions.engine.guard import CLOCK, ORDER, RANDOMNESS, STOPWATCH

CLOCKS = ("time", "time_ns", "clock_gettime", "clock_gettime_ns")
CONVERSIONS = {"localtime": 0, "gmtime": 0, "ctime": 0, "strftime": 1}  # read the clock without this argument
STOPWATCHES = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
TIMED = ("sleep", "create_task", "ensure_future", "gather", "wait", "wait_for", "as_completed", "timeout", "TaskGroup")
SECRETS = ("token_bytes", "token_hex", "token_urlsafe", "choice", "randbelow", "randbits")
CHANCE = (
    "random", "uniform", "triangular", "randint", "choice", "randrange", "sample", "shuffle", "choices", "gauss",
    "normalvariate", "lognormvariate", "expovariate", "vonmisesvariate", "gammavariate", "betavariate",
    "binomialvariate", "paretovariate", "weibullvariate", "getrandbits", "randbytes",
)


class Reader:
    """Stands in for a function; no plain function, since as an attribute of a class that would become a method."""

    def __init__(self, kind: str, name: str, original: Callable[..., Any], harmless: int | None = None) -> None:
        self._kind, self._name, self._original, self._harmless = kind, name, original, harmless
        functools.update_wrapper(self, original)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if guard.current() is not None and (self._harmless is None or len(args) <= self._harmless):
            guard.refuse_reading(self._kind, self._name, sys._getframe(1))
        return self._original(*args, **kwargs)


def _seeding(seed: Callable[..., None]) -> Callable[..., None]:
    """`random.Random()` without a seed takes one from the system."""

    @functools.wraps(seed)
    def asked(self: random.Random, a: Any = None, *args: Any, **kwargs: Any) -> None:
        if a is None and guard.current() is not None:
            frame = sys._getframe(1)
            caller = frame.f_back if frame.f_code.co_name == "__init__" and frame.f_back else frame
            guard.refuse_reading(RANDOMNESS, "random.Random", caller)
        seed(self, a, *args, **kwargs)

    return asked


def _replace(kind: str, module: Any, name: str, harmless: int | None = None) -> None:
    original = getattr(module, name, None)
    if original is None:
        return  # not in this version of Python, or on this system
    words = f"{module.__name__}.{name}"
    reader = Reader(kind, words, original, harmless)
    if harmless is None:
        inspection.forbid(kind, words, original)
    setattr(module, name, reader)


def install() -> None:
    """Put the readers in place, and tell inspection what to look for."""
    for module, kind, names in (
        (time, CLOCK, CLOCKS), (random, RANDOMNESS, CHANCE), (secrets, RANDOMNESS, SECRETS),
        (uuid, RANDOMNESS, ("uuid1", "uuid4", "uuid6", "uuid7")), (os, RANDOMNESS, ("urandom", "getrandom")),
        (timezone, CLOCK, ("now", "localdate")), (crypto, RANDOMNESS, ("get_random_string",)),
    ):
        for name in names:
            _replace(kind, module, name)
    for name, harmless in CONVERSIONS.items():
        _replace(CLOCK, time, name, harmless)
    for name in STOPWATCHES:  # not replaced: event loops read them all the time
        inspection.forbid(STOPWATCH, f"time.{name}", getattr(time, name))
    for name in TIMED:
        inspection.forbid(ORDER, f"asyncio.{name}", getattr(asyncio, name))
    inspection.forbid(RANDOMNESS, "random.SystemRandom", random.SystemRandom)
    inspection.forbid_methods(CLOCK, dt.datetime, "now", "utcnow", "today")
    inspection.forbid_methods(CLOCK, dt.date, "today")
    random.Random.seed = _seeding(random.Random.seed)  # type: ignore[method-assign]
