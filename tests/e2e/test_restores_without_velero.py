"""Restores of the command where there is no Velero: two at once, killed, in place, of disks alone, after a failover."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.e2e import audit
from tests.e2e.certificates import Authority
from tests.e2e.scene import GROUPS, SERVICES, VMS, on_newest_velero
from tests.e2e.site import PERSON, open_site
from tests.e2e.wcp import Wcp
from tests.emulator import machines, vadp
from tests.emulator.vm_operator.records import BACKUP_VERSION
from tests.emulator.wcp.register_steps import Failure, State
from tests.waiting import wait_until
from velero_vmservice.report.model import Report
from velero_vmservice.report.stage import Outcome
from velero_vmservice.supervisor.readiness import RestoreType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.e2e.audit import Request
    from tests.e2e.cluster import Manifest
    from tests.e2e.site import Site
    from tests.e2e.vcenter import VCenterSimulator
    from tests.emulator.machines import Application
    from tests.emulator.vadp import RestorePoint

pytestmark = on_newest_velero

DATABASE: Final = "shop-db-1"
KILLED: Final = -9
RECORDS: Final = "vmservice-records"
"""The namespace in which RegisterVM's calls are recorded."""


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("restores"), audited=True) as site:
        yield site


@dataclass(frozen=True, kw_only=True)
class Shop:
    """An application that a job has saved, beside the capture of it."""

    site: Site
    application: Application
    point: RestorePoint
    capture: str
    before: dict[str, dict[str, Manifest]]

    @classmethod
    def saved(cls, site: Site, namespace: str, **known: Any) -> Shop:
        """Deploy it, capture it, and have the job save its VMs."""
        application = machines.two_tier("shop", namespace=namespace, **known)
        site.deploy(application)
        printed = document(site.ours("capture", "-n", namespace, "--vadp-job", namespace, "-o", "json"))
        return cls(
            site=site,
            application=application,
            point=site.supervisor.back_up(namespace),
            capture=str(printed["capture"]),
            before=site.saved(namespace),
        )

    @property
    def namespace(self) -> str:
        return self.application.namespace

    @property
    def restore(self) -> Sequence[str]:
        """The command that restores its capture."""
        return ("restore", "--from", self.capture)

    def report(self) -> Report:
        """Return the newest report of its restores."""
        newest = self.site.ours("report", "list", self.namespace, "-o", "name").splitlines()[-1]
        shown = self.site.ours("report", self.namespace, "--started", newest.partition("/")[2], "-o", "json")
        return Report.model_validate_json(shown)


def document(printed: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(printed)
    return content


def written_since(site: Site, namespace: str, earlier: Sequence[Request] = ()) -> list[tuple[str, str]]:
    """Return verb and resource of each request of the command that has changed something in a namespace."""
    requests = audit.requests(site.cluster, PERSON)[len(earlier) :]
    inside = f"/namespaces/{namespace}/"
    return sorted((each.verb, each.resource) for each in requests if inside in each.uri and each.has_written)


def each_created_once(application: Application) -> list[tuple[str, str]]:
    groups, services = len(application.groups), len(application.services)
    return [("create", "virtualmachinegroups")] * groups + [("create", "virtualmachineservices")] * services


def test_two_restores_at_once_create_each_object_once(site: Site) -> None:
    shop = Shop.saved(site, "twice")
    site.supervisor.lose("twice")
    logs = [site.directory / f"twice-{number}.log" for number in range(2)]
    both = [site.started(*shop.restore, log=log) for log in logs]
    wait_until(lambda: all("not registered yet" in log.read_text() for log in logs), 60, "both wait for VMs")
    site.register(shop.point, *shop.application.vm_names, into="twice")
    assert [process.wait(120) for process in both] == [0, 0], [log.read_text() for log in logs]
    assert site.saved("twice") == shop.before
    assert written_since(site, "twice") == each_created_once(shop.application)
    assert shop.report().outcome is Outcome.VERIFIED
    for log in logs:
        assert "(velero-vmservice report twice --started " in log.read_text().splitlines()[-1]


def test_a_restore_that_is_killed_at_any_point_goes_on_with_the_same_command(site: Site) -> None:
    shop = Shop.saved(site, "killed")
    site.supervisor.lose("killed")
    log = site.directory / "killed.log"
    late, *first = shop.application.vm_names

    def kill_when(what: str, happened: Callable[[], object]) -> None:
        process = site.started(*shop.restore, log=log)
        try:
            wait_until(happened, 60, what)
        finally:
            process.kill()
        assert process.wait(10) == KILLED

    kill_when("it has begun", lambda: "policy:" in log.read_text())
    kill_when("it waits for VMs", lambda: "not registered yet" in log.read_text())
    site.register(shop.point, *first, into="killed")
    kill_when("a service is created", lambda: site.cluster.all(SERVICES, namespace="killed"))
    made = {item["metadata"]["uid"] for item in site.cluster.all(SERVICES, namespace="killed")}
    site.register(shop.point, late, into="killed")
    kill_when("a group is created", lambda: site.cluster.all(GROUPS, namespace="killed"))
    assert "verified" in site.ours(*shop.restore)
    assert site.saved("killed") == shop.before
    assert made <= {item["metadata"]["uid"] for item in site.cluster.all(SERVICES, namespace="killed")}
    assert written_since(site, "killed") == each_created_once(shop.application)
    assert len(site.ours("report", "list", "killed", "-o", "name").splitlines()) == 1
    report = document(site.ours("report", "killed", "-o", "json"))
    assert (report["outcome"], len(report["objects"])) == ("verified", len(each_created_once(shop.application)))
    before = audit.requests(site.cluster, PERSON)
    drawn = site.on_terminal(80, *shop.restore)
    assert ["STAGE", "OBJECT", "VMS", "WAITING FOR"] in [re.split(" {2,}", line) for line in drawn]
    assert any(line.startswith("verified  VirtualMachineService killed/shop-web  ") for line in drawn), drawn
    assert written_since(site, "killed", before) == []
    for columns, header in ((80, "  CAPTURE killed/"), (140, "OBJECT  ")):
        drawn = site.on_terminal(columns, "coverage", "-n", "killed", exits=[3])  # no capture since the restore
        assert max(map(len, drawn)) <= columns
        assert any(line.startswith(header) for line in drawn), drawn


def backup_versions(site: Site, namespace: str) -> dict[str, str]:
    vms = site.cluster.all(VMS, namespace=namespace)
    return {vm["metadata"]["name"]: vm["metadata"]["annotations"].get(BACKUP_VERSION, "") for vm in vms}


def test_a_restore_in_place_leaves_what_differs_until_it_is_told_and_names_the_claims_left_over(site: Site) -> None:
    """Guide 9.2: the VMs go back in time, the application around them is there and has been changed."""
    shop = Shop.saved(site, "in-place")
    kept, versions, uids = site.directory / "state.json", backup_versions(site, "in-place"), site.uids("in-place")
    for name in versions:  # VM Operator records a newer version, so that the one of the job is the older
        site.cluster.kubectl("label", VMS, name, "since=backup", "--namespace=in-place")
    wait_until(lambda: not versions.items() & backup_versions(site, "in-place").items(), 60, "newer records")
    port = '--patch={"spec":{"ports":[{"name":"tcp","protocol":"TCP","port":81,"targetPort":8080}]}}'
    site.cluster.kubectl("patch", SERVICES, "shop-web", "--namespace=in-place", "--type=merge", port)
    site.ours(
        *("preflight", "--restore", "in-place", "--from", shop.capture, "--record", str(kept), "-o", "json"),
        exits=[0, 3],
    )
    for name in versions:
        site.restore_in_place(shop.point, name, namespace="in-place")

    printed = site.ours(*shop.restore)
    report = shop.report()
    assert report.outcome is Outcome.RETAINED
    assert {vm.restore_type for vm in report.machines} == {RestoreType.EXISTING}
    assert written_since(site, "in-place") == []
    assert "VirtualMachineService in-place/shop-web" in printed
    assert any("shop-web" in warning and "retained" in warning for warning in report.warnings)
    assert site.uids("in-place") == uids

    site.ours(*shop.restore, "--policy", "conflict=update")
    assert site.saved("in-place") == shop.before
    assert [resource for _, resource in written_since(site, "in-place")] == ["virtualmachineservices"]
    left = document(site.ours("preflight", "--compare", str(kept), "-o", "json"))["claims"]
    assert [(claim["vm"], claim["before"], claim["state"]) for claim in left] == [
        (DATABASE, f"{DATABASE}-data", "replaced")
    ]


@pytest.mark.with_full
def test_a_restore_of_disks_alone_replays_nothing_and_says_which_vm_has_new_disks(site: Site) -> None:
    shop = Shop.saved(site, "disks")
    (vm,) = [vm for vm in site.supervisor.vcenter.machines() if (vm.folder, vm.name) == ("disks", DATABASE)]
    vadp.restore_disks(site.supervisor.vcenter, vm.moid, "data")
    task = site.supervisor.wcp.register(vm.moid)
    assert task.finish() is State.SUCCEEDED
    printed = site.ours(*shop.restore)
    report = shop.report()
    types = {vm.name: vm.restore_type for vm in report.machines}
    assert types.pop(DATABASE) == RestoreType.DISK_ONLY
    assert set(types.values()) == {RestoreType.NEVER_LOST}
    assert (report.outcome, site.saved("disks")) == (Outcome.VERIFIED, shop.before)
    assert written_since(site, "disks") == []
    assert "as captured" in printed


@dataclass(frozen=True, kw_only=True)
class VCenter:
    """The vCenter that the command calls RegisterVM on."""

    wcp: Wcp
    simulator: VCenterSimulator
    settings: Path


@pytest.fixture(name="vcenter_of_site", scope="module")
def _vcenter_of_site(site: Site, vcenter: VCenterSimulator) -> Iterator[VCenter]:
    """A vCenter, and settings that name it; RegisterVM is called where a restore asks for it alone."""
    (site.directory / "password").write_text(vcenter.password)
    site.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RECORDS}})
    site.cluster.install([_subnet_sets()])
    with Wcp(vcenter, site.supervisor, Authority(site.directory)) as wcp:
        settings = yaml.safe_load(site.settings.read_text()) | {
            "velero_namespace": RECORDS,
            "registration": {"sources": ["kubernetes", "vcenter"]},
            "vcenter": {
                "server": wcp.server,
                "user": vcenter.user,
                "password_file": str(site.directory / "password"),
                "ca_file": str(wcp.ca_file),
            },
        }
        file = site.directory / "with-vcenter.yaml"
        file.write_text(yaml.safe_dump(settings))
        yield VCenter(wcp=wcp, simulator=vcenter, settings=file)
        vcenter.clear()


def _subnet_sets() -> Manifest:
    """Return the definition with which a namespace shows that it is of an NSX VPC."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "subnetsets.crd.nsx.vmware.com"},
        "spec": {
            "group": "crd.nsx.vmware.com",
            "names": {
                "plural": "subnetsets",
                "singular": "subnetset",
                "kind": "SubnetSet",
                "listKind": "SubnetSetList",
            },
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def _prepare_namespace(site: Site, simulator: VCenterSimulator, name: str) -> None:
    """Make a vSphere Namespace of an NSX VPC, whose folder is the simulator's."""
    manifest = machines.namespace(name)
    manifest["metadata"]["annotations"]["vmware-system-vm-folder"] = simulator.folder(name)._GetMoId()
    site.supervisor.cluster.ensure(manifest)
    metadata = {"name": "vm-default", "namespace": name}
    site.cluster.create({"apiVersion": "crd.nsx.vmware.com/v1alpha1", "kind": "SubnetSet", "metadata": metadata})


def _assign(site: Site, name: str) -> None:
    """Assign to a namespace what the VMs refer to, as an administrator does in vCenter."""
    for assigned in machines.assigned(name):
        site.supervisor.cluster.ensure(assigned)


def _missing(site: Site, capture: str) -> set[str]:
    """Return the kinds of which a failover into `dr` would miss an object there, as a preflight names them."""
    checked = document(
        site.ours(
            *("preflight", "--restore", "failover", "--from", capture, "--namespace-mapping", "prod:dr", "-o", "json"),
            exits=[0, 3],
        )
    )
    reasons = (reason for application in checked["applications"] for reason in application["reasons"])
    return {reason["kind"] for reason in reasons if reason["code"].endswith("-missing")}


def test_after_a_failover_registervm_is_called_once_for_each_vm_with_the_networks_of_the_other_site(
    site: Site, vcenter_of_site: VCenter
) -> None:
    """Guide 9.3: another vCenter, another namespace, other subnets; and the command dies in the middle of a call."""
    shop = Shop.saved(site, "prod")
    wcp, simulator = vcenter_of_site.wcp, vcenter_of_site.simulator
    command = (
        *("--settings", str(vcenter_of_site.settings), *shop.restore, "--namespace-mapping", "prod:dr", "--register"),
        *("--network-override", "subnetset/workload=subnet/dr-a"),
    )
    site.supervisor.lose("prod")
    _prepare_namespace(site, simulator, "dr")
    with ExitStack() as undo:
        known = site.supervisor.vcenter.uuid
        undo.callback(setattr, site.supervisor.vcenter, "uuid", known)
        site.supervisor.vcenter.uuid = "another-vcenter"
        assert "VirtualMachineClass" in _missing(site, shop.capture)
        _assign(site, "dr")
        assert _missing(site, shop.capture) == set()
        moids = {name: wcp.restore(shop.point, name, into="dr") for name in shop.application.vm_names}
        log = site.directory / "failover.log"
        process = site.started(*command, log=log)
        undo.callback(process.kill)
        wcp.before_answer = process.kill  # RegisterVM has the call, and its caller never learns of the task
        assert process.wait(60) == KILLED, log.read_text()
        wcp.before_answer = wcp.do_nothing
        printed = site.ours(*command, "--timeout", "2m")
    assert sorted(wcp.calls) == sorted(("dr", moid) for moid in moids.values())
    assert "networks at the backup" in printed
    mapping = {
        "current_subnet": {"type": "SUBNETSET", "name": "workload"},
        "new_subnet": {"type": "SUBNET", "name": "dr-a"},
    }
    assert [wcp.overrides[moid] for moid in moids.values()] == [{"subnet_mappings": [mapping]}] * len(moids)
    assert site.saved("dr") == shop.before
    report = shop.report()
    assert {vm.restore_type for vm in report.machines} == {RestoreType.FAILOVER}
    assert report.outcome is Outcome.VERIFIED
    assert any("its image was cleared" in warning for warning in report.warnings)


@pytest.mark.with_full
def test_a_call_that_failed_is_repeated_by_the_command_for_it_alone(site: Site, vcenter_of_site: VCenter) -> None:
    shop = Shop.saved(site, "fault", web=1)
    wcp, settings = vcenter_of_site.wcp, ("--settings", str(vcenter_of_site.settings))
    site.supervisor.lose("fault")
    folder = vcenter_of_site.simulator.folder("fault")._GetMoId()
    site.cluster.kubectl("annotate", "namespace", "fault", f"vmware-system-vm-folder={folder}", "--overwrite")
    moids = {name: wcp.restore(shop.point, name, into="fault") for name in shop.application.vm_names}
    wcp.faults[DATABASE] = Failure.CLAIM
    for timeout in ("12s", "3s"):
        printed = site.ours(*settings, *shop.restore, "--register", "--timeout", timeout, exits=[4])
    assert "use `velero-vmservice registration trigger`" in printed
    assert wcp.calls.count(("fault", moids[DATABASE])) == 1
    wcp.faults.clear()
    site.ours(*settings, "registration", "trigger", "--from", shop.capture, "-n", "fault", DATABASE, "--yes")
    site.ours(*settings, *shop.restore, "--register", "--timeout", "2m")
    assert wcp.calls.count(("fault", moids[DATABASE])) == 2
    assert site.saved("fault") == shop.before


def test_an_export_is_what_server_side_apply_makes_the_captured_objects_of(site: Site) -> None:
    shop = Shop.saved(site, "exported")
    site.supervisor.lose("exported")
    site.register(shop.point, *shop.application.vm_names, into="exported")
    directory = site.directory / "application"
    site.ours("captures", "export", shop.capture, str(directory))
    built = [*yaml.safe_load_all(site.cluster.kubectl("kustomize", str(directory)))]
    assert len(built) == len(each_created_once(shop.application))
    site.cluster.kubectl("apply", "--server-side", "-k", str(directory))
    assert site.saved("exported") == shop.before
    differs = site.ours("captures", "diff", shop.capture, "-o", "name", exits=[5])  # VMs have new disks and records
    assert set(differs.split()) == {f"VirtualMachine/exported/{name}" for name in shop.application.vm_names}
