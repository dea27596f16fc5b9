"""Captures as they are compared, in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from velero_vmservice.archive.facts import VmFacts
from velero_vmservice.captures.applications import CapturedApplication
from velero_vmservice.captures.matching.candidate import Candidate
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.velero.runs import CaptureRef, Maker

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = "shop"


def service(name: str) -> ObjectRef:
    """Name a service."""
    return ObjectRef(VIRTUAL_MACHINE_SERVICE, SHOP, name)


def capture(
    minute: int,
    uids: dict[str, str],
    services: dict[str, tuple[str, ...]] | None = None,
    *,
    versions: dict[str, str] | None = None,
    job: str = "",
    restore_point: str = "",
    instances: dict[str, str] | None = None,
    left_out: tuple[ObjectRef, ...] = (),
) -> Candidate:
    """Build a capture of namespace shop that began at a minute, with its VMs by UID and its services by their VMs."""
    held = {}
    for name, vms in (services or {}).items():
        ref = service(name)
        held[ref] = CapturedApplication(name=ref, objects=(ref,), vms=vms)
    refs = {*held, *left_out, *(ObjectRef(VIRTUAL_MACHINE, SHOP, name) for name in uids)}
    return Candidate(
        ref=CaptureRef(maker=Maker.COMMAND, name=f"c{minute}", started=f"{minute:04}"),
        started=NOON + timedelta(minutes=minute),
        job=job,
        restore_point=restore_point,
        vms={
            (SHOP, name): VmFacts(
                name=name,
                uid=uid,
                backup_version=(versions or {}).get(name, ""),
                instance_uuid=(instances or {}).get(name, f"instance-of-{name}"),
            )
            for name, uid in uids.items()
        },
        objects=held,
        namespaces={SHOP},
        existing=refs,
        uids={(SHOP, name): uid for name, uid in uids.items()},
    )
