"""`manage.py profile`: who manages a person (docs/cli.md). For who runs the installation."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import profiles
from approvals.models import Profile


class Command(BaseCommand):
    """Show or change what governance knows of a person."""

    help = "Show or change who manages a person."

    def add_arguments(self, parser: CommandParser) -> None:
        """The person, and what to change."""
        parser.add_argument("user", metavar="USER")
        change = parser.add_mutually_exclusive_group()
        change.add_argument("--manager", metavar="USER", help="who `owner.manager` leads to for what they own")
        change.add_argument("--no-manager", action="store_true", help="nobody")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what is given and print what holds then. Raises CommandError with the exit status."""
        user = _user(options["user"])
        manager = _user(options["manager"]) if options["manager"] else None
        try:
            if manager is not None or options["no_manager"]:
                profiles.set_manager(user, manager)
        except ValueError as refused:
            raise CommandError(str(refused), returncode=1) from refused
        found = Profile.objects.filter(user=user).first() or Profile(user=user)
        self.stdout.write(f"manager: {found.manager or 'none'}")


def _user(name: str) -> User:
    found = User.objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}.", returncode=1)
    return found
