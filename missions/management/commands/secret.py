"""`manage.py secret`: secrets that the platform keeps encrypted (docs/cli.md). Values come by standard input only."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from missions.errors import InvalidInput
from missions.management.display import Display
from missions.models import Secret
from missions.secrets import vault


class Command(BaseCommand):
    """Set, list, delete and reseal secrets; none is ever shown."""

    help = "Set, list, delete and reseal the secrets that tools refer to as db:NAME."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="list names; never values")
        put = verbs.add_parser("set", help="keep a value, read from standard input, in the place of the one before")
        delete = verbs.add_parser("delete", help="delete a secret; calls that need it are refused from then on")
        verbs.add_parser("reseal", help="encrypt all under the present SECRET_KEY")
        for verb in (put, delete):
            verb.add_argument("name", metavar="NAME", help="tools refer to it as db:NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        {"list": self.list, "set": self.set, "delete": self.delete, "reseal": self.reseal}[options["verb"]](options)

    def list(self, options: dict[str, Any]) -> None:
        """Show the name of each, and who changed it when."""
        Display(self.stdout, as_json=False).table(
            ("NAME", "CREATED", "CHANGED", "BY"),
            ((row.name, row.created_at, row.changed_at, row.changed_by) for row in Secret.objects.order_by("name")),
            empty="No secrets.",
        )

    def set(self, options: dict[str, Any]) -> None:
        """Keep what standard input holds; nobody sees it being typed."""
        value = getpass.getpass("Value: ") if sys.stdin.isatty() else sys.stdin.read(vault.MOST + 2)
        try:
            replaced = vault.put(options["name"], value, by=f"command line: {getpass.getuser()}")
        except InvalidInput as error:
            told = " ".join(f"The {one['field']} {one['message']}" for one in error.errors)
            raise CommandError(told, returncode=2) from error
        self.stdout.write("Replaced." if replaced else "Set.")

    def delete(self, options: dict[str, Any]) -> None:
        """Delete a secret."""
        if not vault.drop(options["name"]):
            raise CommandError(f"There is no secret {options['name']!r}.", returncode=1)
        self.stdout.write("Deleted.")

    def reseal(self, options: dict[str, Any]) -> None:
        """Encrypt all under the present SECRET_KEY, so that the one before can leave SECRET_KEY_FALLBACKS."""
        done, lost = vault.reseal()
        self.stdout.write(f"{done} resealed.")
        if lost:
            told = f"No key here opens {', '.join(lost)}: set them anew, or list the key in SECRET_KEY_FALLBACKS."
            raise CommandError(told, returncode=1)
