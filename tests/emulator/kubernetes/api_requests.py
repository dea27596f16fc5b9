"""From one HTTP request to one answer: paths, verbs and `Status` documents of the Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.emulator.kubernetes.api_objects import Content, Objects, Problem, Target
from tests.emulator.kubernetes.api_resources import group_list, resource_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    import kmock

    from tests.emulator.kubernetes.api_resources import Resource

_VERBS: Final = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_REASONS: Final = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}
# Where kmock cannot read a path: the bare list of namespaces is respelled on its way in, see `kmock_api`.
NAMESPACES: Final = "/api/v1/namespaces"
# How the player's own client says that it is VM Operator or WCP, whose accounts the webhooks let do more.
PRIVILEGED: Final = "X-Emulated-Privileged"
_METADATA_LIST: Final = "as=PartialObjectMetadataList"
NAMESPACES_RESPELLED: Final = "/api/v1/namespaces/-/namespaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came: verbs as RBAC names them, `discover` for everything without a resource."""

    verb: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False

    def matches(self, verb: str, resource: str) -> bool:
        return verb in {"", self.verb} and resource in {"", self.resource}


def call_of(request: kmock.Request) -> Call:
    """Read a request."""
    resource, namespace, name, sub = request.resource, request.namespace or "", request.name or "", ""
    plural = (resource.plural if resource else None) or ""
    if str(request.url.path) == NAMESPACES_RESPELLED:
        namespace = ""
    elif namespace and plural in {"", "status", "finalize"}:
        plural, namespace, name, sub = "namespaces", "", namespace, plural
    if not plural:
        return Call(verb="discover")
    verb = _VERBS.get(request.method.value, request.method.value.lower())
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return Call(
        verb=verb,
        resource=plural,
        namespace=namespace,
        name=name,
        subresource=request.subresource or sub,
        dry_run=request.params.get("dryRun") == "All",
    )


def answer(call: Call, request: kmock.Request, objects: Objects, served: Sequence[Resource]) -> tuple[int, Content]:
    """Carry out a request; every refusal comes back as a `Status` with its code."""
    try:
        if call.verb == "discover":
            return 200, _discovery(request, served)
        return _resource_answer(call, request, objects, served)
    except Problem as problem:
        return problem.status, status_document(problem.status, problem.message, reason=problem.reason)


def status_document(code: int, message: str, *, reason: str = "") -> Content:
    """Write the API's error document."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or _REASONS.get(code, "InternalError"),
        "code": code,
    }


def _discovery(request: kmock.Request, served: Sequence[Resource]) -> Content:
    match [part for part in str(request.url.path).split("/") if part]:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return group_list(served)
        case ["api", version]:
            resources = resource_list(served, "", version)
        case ["apis", group, version]:
            resources = resource_list(served, group, version)
        case _:
            resources = None
    if resources is None:
        raise Problem(404, "NotFound", "the server could not find the requested resource")
    return resources


def _resource_answer(
    call: Call, request: kmock.Request, objects: Objects, served: Sequence[Resource]
) -> tuple[int, Content]:
    group = (request.resource.group if request.resource else None) or ""
    version = (request.resource.version if request.resource else None) or ""
    for resource in served:
        if resource.key == (group, call.resource) and version in resource.versions:
            break
    else:
        raise Problem(404, "NotFound", "the server could not find the requested resource")
    if call.subresource and not (call.subresource == "status" and resource.status):
        raise Problem(404, "NotFound", "the server could not find the requested resource")
    target = Target(
        resource=resource,
        namespace=call.namespace,
        name=call.name,
        subresource=call.subresource,
        dry_run=call.dry_run,
        privileged=request.headers.get(PRIVILEGED) == "true",
    )

    def shown(kept: Content) -> Content:
        return {**kept, "apiVersion": resource.api_version(version), "kind": resource.kind}

    if call.verb in {"list", "deletecollection"}:
        items, metadata = _select(request, objects, target)
        if call.verb == "deletecollection":
            for item in items:
                metadata_of = item["metadata"]
                addressed = replace(target, namespace=metadata_of.get("namespace", ""), name=metadata_of["name"])
                objects.delete(addressed, {})
        if _METADATA_LIST in request.headers.get("Accept", ""):
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            return 200, {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": [{**partial, "metadata": item["metadata"]} for item in items],
            }
        return 200, {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version(version),
            "metadata": metadata,
            "items": [shown(item) for item in items],
        }
    kept = _change(call, request, objects, target)
    return (201 if call.verb == "create" else 200), shown(kept)


def _select(request: kmock.Request, objects: Objects, target: Target) -> tuple[Sequence[Content], Content]:
    query = request.params
    if query.get("watch") in {"true", "1"}:
        raise Problem(405, "MethodNotAllowed", "the emulated API has no watches")
    return objects.list(
        target,
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        limit=int(query.get("limit", 0)),
        token=query.get("continue", ""),
    )


def _change(call: Call, request: kmock.Request, objects: Objects, target: Target) -> Content:
    body: Any = yaml.safe_load(request.body) if request.data is None and request.body else request.data
    match call.verb:
        case "get":
            return objects.get(target)
        case "create":
            return objects.create(target, _document(body, target))
        case "update":
            return objects.replace(target, _document(body, target))
        case "patch":
            return objects.patch(target, body, request.headers.get("Content-Type", ""))
        case "delete":
            return objects.delete(target, body or {})
        case _:
            raise Problem(405, "MethodNotAllowed", f"{call.verb} is not supported")


def _document(body: Any, target: Target) -> Content:
    if not isinstance(body, dict) or body.get("kind") != target.resource.kind:
        raise Problem(400, "BadRequest", f"the object provided is not a {target.resource.kind}")
    group = str(body.get("apiVersion", "")).rpartition("/")[0]
    if group != target.resource.group:
        raise Problem(400, "BadRequest", "the API version in the data does not match the request")
    return body
