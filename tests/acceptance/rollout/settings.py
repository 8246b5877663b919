"""Settings of the second release: one more app, whose migration adds to the engine's own tables."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as INSTALLED_BEFORE

INSTALLED_APPS = [*INSTALLED_BEFORE, "tests.acceptance.rollout"]
