"""The engine to examine: the one that the environment names, or the reference engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.conformance.examined import Examined
from tests.registration_engine.engine import ReferenceEngine, serving
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.settings.registration import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "REGISTRATION_ENGINE"
_VMS = (
    pb.Registration(name="db-0", state=pb.STATE_REGISTERING, percent=80, stage="Register volumes"),
    pb.Registration(
        name="db-1",
        state=pb.STATE_FAILED,
        error_code="VCenterWcpWorkloadRegisterVMRegisterPVCFailed",
        message="look at the CSI driver",
    ),
    pb.Registration(name="web-0", state=pb.STATE_READY, since=Timestamp(seconds=1_767_225_600)),
)


@pytest.fixture(name="examined", scope="session")
def _examined() -> Iterator[Examined]:
    """The engine to examine."""
    if os.environ.get(VARIABLE):
        yield _named()
        return
    engine = ReferenceEngine()
    for registration in _VMS:
        name = registration.name
        engine.put("shop", registration, instance_uuid=f"instance-{name}", bios_uuid=f"bios-{name}")
    with serving(engine) as target:
        yield Examined(EngineSettings(target=target, insecure=True), "shop", tuple(vm.name for vm in _VMS))


def _named() -> Examined:
    """Read the environment; fails with what is missing."""
    namespace, machines = os.environ.get(f"{VARIABLE}_NAMESPACE", ""), os.environ.get(f"{VARIABLE}_MACHINES", "")
    if not namespace or not machines:
        pytest.fail(f"set {VARIABLE}_NAMESPACE, and {VARIABLE}_MACHINES to names of VMs in it, with commas")
    files = {
        "ca_file": os.environ.get(f"{VARIABLE}_CA") or None,
        "certificate_file": os.environ.get(f"{VARIABLE}_CERTIFICATE") or None,
        "key_file": os.environ.get(f"{VARIABLE}_KEY") or None,
    }
    settings = EngineSettings.model_validate(
        {"target": os.environ[VARIABLE], "insecure": not any(files.values()), **files}
    )
    return Examined(settings, namespace, tuple(machines.split(",")))
