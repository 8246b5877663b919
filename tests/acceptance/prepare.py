"""Run inside Django, in a process of its own (`System.inside`): tables, demo people, demo policy, API tokens."""

from __future__ import annotations

import json
import sys

from django.contrib.auth.models import User
from django.core.management import call_command

from config import demo
from missions.web import tokens


def main() -> None:
    """Print {username: token} as JSON."""
    call_command("migrate", verbosity=0, interactive=False)
    demo.make_people()
    demo.load_policies()
    json.dump({user.username: tokens.issue(user)[1] for user in User.objects.all()}, sys.stdout)
