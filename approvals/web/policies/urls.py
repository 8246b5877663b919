"""Paths of the pages of policies, below /policies/. No policy's name begins with a dash."""

from __future__ import annotations

from django.urls import path

from approvals.web.policies import editor, pages, verbs

urlpatterns = [
    path("", pages.policies_page, name="policies"),
    path("-/new/", editor.new, name="policy-new"),
    path("-/check/", editor.check, name="policy-check-new"),
    path("-/import/", verbs.import_file, name="policy-import"),
    path("<slug:name>/", pages.policy_page, name="policy"),
    path("<slug:name>/edit/", editor.edit, name="policy-edit"),
    path("<slug:name>/check/", editor.check, name="policy-check"),
    path("<slug:name>/difference/", pages.difference_page, name="policy-difference"),
    path("<slug:name>/mode/", verbs.mode, name="policy-mode"),
    path("<slug:name>/versions/<int:number>/", pages.version_page, name="policy-version"),
    path("<slug:name>/versions/<int:number>/export/", pages.export, name="policy-export"),
    path("<slug:name>/versions/<int:number>/submit/", verbs.submit, name="policy-submit"),
    path("<slug:name>/versions/<int:number>/withdraw/", verbs.withdraw, name="policy-withdraw"),
    path("<slug:name>/versions/<int:number>/restore/", verbs.restore, name="policy-restore"),
    path("<slug:name>/versions/<int:number>/shadow/", verbs.begin_shadow, name="policy-shadow"),
]
