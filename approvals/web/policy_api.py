"""The REST views of policies: what there is, saving drafts, comparing.

A view parses, authorises, calls one verb, renders. To who does not see policies none exists (404); who sees them and
may not change them is told so (403).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import Count, Max, Q
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Policy, PolicyVersion, VersionState
from approvals.policies import comparing, document, files, lifecycle, lint, rights, touching, writing
from approvals.policies.document import InvalidPolicy
from approvals.web import policy_shapes as shapes
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.problems import field_problem, problem
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS, listed

MOST = 500  # rows of a list; the newest
VIA = "api"


class PolicyEndpoint(Endpoint):
    """What the views of policies share."""

    area = "policies"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Problem (404, 403)."""
        super().initial(request, *args, **kwargs)
        if not rights.may_read(request.user):
            raise problem(404, "unknown_policy", "There is no such policy, or you may not see it.")
        if request.method == "POST":
            idempotency_key(request, None)  # checked; each of these verbs counts once by itself
            if not rights.may_edit(request.user):
                raise problem(403, "permission_denied", "Only policy admins and administrators change policies.")

    def handle_exception(self, exc: Exception) -> Any:
        """A policy that is not valid comes back with every problem, each with its place."""
        if isinstance(exc, InvalidPolicy):
            errors = [asdict(one) for one in exc.problems]
            exc = problem(422, "invalid_policy", "See the errors, rule by rule; nothing was saved.", errors=errors)
        return super().handle_exception(exc)


def policy_of(name: str) -> Policy:
    """The policy of this name. Raises Problem (404)."""
    found = Policy.objects.filter(name=name).first()
    if found is None:
        raise problem(404, "unknown_policy", f"There is no policy {name}, or you may not see it.")
    return found


def version_of(name: str, number: int) -> PolicyVersion:
    """The version of this number. Raises Problem (404)."""
    found: PolicyVersion | None = _versions(name).filter(number=number).first()
    if found is None:
        raise problem(404, "unknown_policy", f"There is no version {number} of {name}, or you may not see it.")
    return found


def _versions(name: str) -> Any:
    rows = PolicyVersion.objects.filter(policy__name=name).select_related("policy", "base", "created_by")
    return rows.prefetch_related("changes").order_by("-number")


def _saved(request: Request, data: dict[str, Any], name: str) -> Response:
    """Save a draft from a body: 201, or 200 where these rules are the draft already."""
    name, rules = _rules(data, name)
    base = version_of(name, data["base"]) if data.get("base") else None
    newest = PolicyVersion.objects.filter(policy__name=name).aggregate(Max("number"))["number__max"] or 0
    made = lifecycle.save_draft(name, rules, by=caller(request), base=base, via=VIA)
    return Response(shown(version_of(name, made.number)), status=201 if made.number > newest else 200)


def _rules(data: dict[str, Any], name: str) -> tuple[str, list[dict[str, Any]]]:
    """Name and rules of a body that holds rules or a YAML file. Raises Problem, InvalidPolicy."""
    if "rules" in data:
        if not name:
            raise field_problem("name", "Beside rules the policy's name is needed.")
        return name, data["rules"]
    policies = files.parsed(data["yaml"].encode(), "yaml")
    if len(policies) != 1:
        raise field_problem("yaml", f"It has to hold one policy, not {len(policies)}.")
    parsed = document.parse(policies[0], "yaml")
    if name and parsed.name != name:
        raise field_problem("yaml", f"It is the policy {parsed.name}, not {name}.")
    return parsed.name, parsed.written


def shown(version: PolicyVersion) -> Any:
    """A version in its shape, with what the lint says of it now."""
    version.findings = _findings(version)  # type: ignore[attr-defined]
    return shapes.VersionShape(version).data


def _findings(version: PolicyVersion) -> list[dict[str, Any]]:
    """What the lint says now; nothing of rules that can not be read any more."""
    try:
        return [asdict(one) for one in lint.lint(version.rules)]
    except InvalidPolicy as error:
        return [{
            "rule": one.rule, "field": one.field, "code": "unreadable", "message": one.message, "severity": "error",
        } for one in error.problems]  # fmt: skip


class PoliciesView(PolicyEndpoint):
    """All policies."""

    @extend_schema(
        operation_id="policies_list", responses={200: listed("PolicyList", shapes.PolicyRow), **PROBLEMS}
    )
    def get(self, request: Request) -> Response:
        """List policies by name; all at once."""
        def counted(state: str) -> Count:
            return Count("versions", filter=Q(versions__state=state))

        rows = Policy.objects.annotate(
            in_force=Max("versions__number", filter=Q(versions__state=VersionState.ACTIVE)),
            drafts=counted(VersionState.DRAFT), in_review=counted(VersionState.IN_REVIEW),
        )
        return Response({"results": shapes.PolicyRow(rows.order_by("name"), many=True).data, "next": None})

    @extend_schema(
        operation_id="policies_save", parameters=[IDEMPOTENCY_KEY], request=shapes.PolicyBody,
        responses={201: shapes.VersionShape, 200: shapes.VersionShape, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Save a draft, of a new policy or of one that is there: 201, and 200 where these rules are its draft already.

        422 `invalid_policy` with every problem: rule, field, message, and for a condition line and column.
        """
        body = shapes.PolicyBody(data=request.data)
        body.is_valid(raise_exception=True)
        return _saved(request, body.validated_data, body.validated_data.get("name", ""))


class VersionsView(PolicyEndpoint):
    """The versions of a policy."""

    @extend_schema(
        operation_id="policies_versions", responses={200: listed("PolicyVersionList", shapes.VersionRow), **PROBLEMS}
    )
    def get(self, request: Request, name: str) -> Response:
        """List versions, the newest first, at most 500."""
        policy_of(name)
        return Response({"results": shapes.VersionRow(_versions(name)[:MOST], many=True).data, "next": None})

    @extend_schema(
        operation_id="policies_versions_save", parameters=[IDEMPOTENCY_KEY], request=shapes.RulesBody,
        responses={201: shapes.VersionShape, 200: shapes.VersionShape, **PROBLEMS},
    )
    def post(self, request: Request, name: str) -> Response:
        """Save a draft of this policy; 409 `draft_outdated` where somebody replaced the draft that was edited."""
        policy_of(name)
        body = shapes.RulesBody(data=request.data)
        body.is_valid(raise_exception=True)
        return _saved(request, body.validated_data, name)


class VersionView(PolicyEndpoint):
    """One version."""

    @extend_schema(operation_id="policies_version", responses={200: shapes.VersionShape, **PROBLEMS})
    def get(self, request: Request, name: str, number: int) -> Response:
        """Show a version with its rules and what the lint finds in them now."""
        return Response(shown(version_of(name, number)))


class VersionFileView(PolicyEndpoint):
    """One version as a file."""

    @extend_schema(
        operation_id="policies_version_file",
        responses={(200, "application/yaml"): OpenApiTypes.STR, **PROBLEMS},
    )
    def get(self, request: Request, name: str, number: int) -> HttpResponse:
        """The version as a policy file in YAML, always as a download."""
        version = version_of(name, number)
        text = writing.written(version.policy.name, version.rules, version.policy.mode)
        attached = {"Content-Disposition": f'attachment; filename="{version.policy.name}-v{number}.yaml"'}
        return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers=attached)


class DiffView(PolicyEndpoint):
    """Two versions side by side."""

    parameters = frozenset({"to"})

    @extend_schema(
        operation_id="policies_diff", responses={200: shapes.ComparisonShape, **PROBLEMS},
        parameters=[OpenApiParameter("to", int, description="The other version; what is in force where it is absent.")],
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """What the version `to` would change of this one, rule by rule, and whether it is looser."""
        version, to = version_of(name, number), request.query_params.get("to", "")
        if to and not (to.isascii() and to.isdigit() and len(to) < 10):
            raise problem(400, "bad_parameter", "to is the number of a version.", parameter="to")
        active = _versions(name).filter(state=VersionState.ACTIVE).first()
        other = version_of(name, int(to)) if to else active
        if other is None:
            raise problem(404, "unknown_policy", f"Nothing of {name} is in force; name another version with `to`.")
        return Response(comparing.compare(version.rules, other.rules).as_json())


class TouchedView(PolicyEndpoint):
    """What an activation would touch."""

    @extend_schema(
        operation_id="policies_touched",
        responses={200: listed("TouchedList", shapes.TouchedShape), **PROBLEMS},
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """The open decisions about actions that would be ruled on differently, were this version in force; of those
        that have been open longest, and of missions that the caller may see."""
        touched = lifecycle.touched(version_of(name, number))
        found = touching.shown_to(caller(request), touched.decisions)[:MOST]
        return Response({"results": shapes.TouchedShape(found, many=True).data, "next": None})


class EventsView(PolicyEndpoint):
    """The trail of a policy."""

    @extend_schema(
        operation_id="policies_events", responses={200: listed("PolicyEventList", shapes.EventShape), **PROBLEMS}
    )
    def get(self, request: Request, name: str) -> Response:
        """What happened to the policy, the newest first, at most 500."""
        rows = policy_of(name).events.select_related("version").order_by("-seq")[:MOST]
        return Response({"results": shapes.EventShape(rows, many=True).data, "next": None})
