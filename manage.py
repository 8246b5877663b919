#!/usr/bin/env python3
"""The entry point of every Standfast command.

Starts the embedded PostgreSQL first where no DATABASE_URL names another server, so that each command works on
its own, in any order.
"""

import os
import sys

from django.core.management import execute_from_command_line

from config import embedded


def main() -> None:
    """Make sure that a database answers, then hand over to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    embedded.ensure_for_command(sys.argv)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
