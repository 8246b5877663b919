"""The settings under test: the real ones, with data of their own and cheap passwords."""

import os
from pathlib import Path

os.environ.setdefault("DATA_DIR", str(Path(__file__).resolve().parent.parent / "var" / "test"))
# Tests that run beside others have a folder of their own, and with it a database server; what they start, shares it.
if (lane := os.environ.get("PYTEST_XDIST_WORKER", "")) and Path(os.environ["DATA_DIR"]).name != lane:
    os.environ["DATA_DIR"] = str(Path(os.environ["DATA_DIR"], lane))
os.environ.setdefault("STANDFAST_DEBUG", "1")

from config.settings import *  # noqa: F403  (DATA_DIR must be known first)

MISSIONS_WITNESS = DATA_DIR / f"witness-{os.getpid()}.json"  # noqa: F405  (another server each run is no finding)

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405  (whitenoise warns of a missing folder)
DEBUG = False  # what is not found looks as it does in earnest, also in a server of its own
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if "pool" in DATABASES["default"]["OPTIONS"]:  # noqa: F405
    DATABASES["default"]["OPTIONS"]["pool"]["timeout"] = 60  # noqa: F405  (crowds of threads wait for their turn)
if os.geteuid() != 0:  # an ordinary user's tests have no control groups; what needs them says so
    SANDBOX_MAY_LACK = ["pids", "memory", "disk"]
