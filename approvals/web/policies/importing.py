"""Policies of a YAML text, kept as drafts: all of them, or none."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import PolicyVersion
from approvals.policies import files
from approvals.web.policies import saving


def keep(text: str, *, by: User) -> list[PolicyVersion]:
    """The drafts of a file that holds one policy or a list. Own transaction.

    Raises InvalidPolicy with the problems of all, and what saving raises.
    """
    documents = files.checked(files.parsed(text.encode(errors="surrogatepass"), ""), "")
    with transaction.atomic():
        return [saving.append(one.name, one.written, by=by) for one in sorted(documents, key=lambda one: one.name)]
