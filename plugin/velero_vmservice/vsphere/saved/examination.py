"""Whether a VM could be brought back with a saved VMX file: every finding, and what is readable.

The rules are the record's own (`vsphere.record`), which judge a VM in vCenter likewise; here nothing ends at the first
thing that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.text import one_line
from velero_vmservice.vmoperator import references
from velero_vmservice.vmoperator.backup_version import recorded_at
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vsphere import extra_config, record
from velero_vmservice.vsphere.extra_config import SPELLINGS, ExtraConfig, Key
from velero_vmservice.vsphere.record import Fault, UnusableRecord
from velero_vmservice.vsphere.saved import vmx
from velero_vmservice.vsphere.saved.contents import BootstrapObject, bootstrap_objects
from velero_vmservice.vsphere.saved.disks import DiskComparison, attached_findings, compare, list_findings
from velero_vmservice.vsphere.saved.findings import Finding, FindingKind, Verdict, some, verdict
from velero_vmservice.vsphere.wcp import automatic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vsphere.record import RecordedDisk
    from velero_vmservice.vsphere.saved.vmx import Vmx

_EARLIEST_VERSION: Final = 1_577_836_800_000
"""2020 in Unix milliseconds, before the first VM of VM Service: what is less was counted in another unit."""
_VM_FAULTS: Final = {
    Fault.MISSING: FindingKind.RECORD_MISSING,
    Fault.DAMAGED: FindingKind.RECORD_DAMAGED,
    Fault.OTHER_KIND: FindingKind.RECORD_OF_OTHER_KIND,
    Fault.NO_VERSION: FindingKind.API_VERSION_UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What a saved VM says, and what is wrong with it."""

    findings: tuple[Finding, ...] = ()
    extra: ExtraConfig = field(default_factory=ExtraConfig)
    spellings: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """How each key that is there is spelled, the one that counts first."""
    vm: Manifest | None = None
    """The recorded VirtualMachine, secrets and all: `contents.shown` is what may be shown of it."""
    disks: DiskComparison = field(default_factory=DiskComparison)
    bootstrap: tuple[BootstrapObject, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the findings amount to."""
        return verdict(self.findings)

    @property
    def namespace(self) -> str:
        """Of the VM, as its record says or, where that cannot be read, its ExtraConfig; '' if neither does."""
        return self.vm.namespace if self.vm else self.extra.namespace

    @property
    def name(self) -> str:
        """Likewise."""
        return self.vm.name if self.vm else self.extra.name


def unreadable(kind: FindingKind, sentence: str) -> Examination:
    """Return the examination of what could not be read."""
    return Examination(findings=(Finding(kind=kind, sentence=sentence),))


def examine_file(content: bytes, parse: Callable[[str], object]) -> Examination:
    """Examine a VMX file; never raises, and costs what the limits allow. `parse` as for `record.judge`."""
    if len(content) > vmx.MAX_BYTES:
        return unreadable(FindingKind.TOO_LARGE, f"it has more than {vmx.MAX_BYTES >> 20} MiB, and no VMX file has")
    if content.count(b"\n") >= vmx.MAX_LINES:
        return unreadable(FindingKind.TOO_LARGE, f"it has more than {vmx.MAX_LINES} lines, and no VMX file has")
    file = vmx.read(content)
    entries = _extra_config(file)
    if file.encrypted:
        return unreadable(
            FindingKind.ENCRYPTED, "it is encrypted, as vSphere does with an encrypted VM: its ExtraConfig is not shown"
        )
    if not (file.recognised or entries):
        return unreadable(FindingKind.NOT_A_VMX, "it has no entry that a VMX file has, nor one of VM Service")
    return _Examiner(entries, file, parse).examine()


def _extra_config(file: Vmx) -> dict[str, str]:
    """Return the keys of VM Service, spelled as they are known: a VMX's names may be in any case."""
    known = (spelling for spellings in SPELLINGS.values() for spelling in spellings)
    return {spelling: file.get(spelling) for spelling in known if file.get(spelling)}


class _Examiner:
    """Collects the findings."""

    def __init__(self, entries: Mapping[str, str], file: Vmx, parse: Callable[[str], object]) -> None:
        self._file = file
        self._parse = parse
        self._spelled = extra_config.spelled(entries)
        self._packed = extra_config.values(entries)
        self._extra = extra_config.read(entries)
        self._findings: list[Finding] = []

    def examine(self) -> Examination:
        self._examine_file(self._file)
        self._examine_spellings()
        vm = self._vm()
        self._examine_names(vm)
        self._examine_version()
        bootstrap = self._bootstrap(vm)
        disks = self._disks(vm)
        self._examine_switches()
        return Examination(
            findings=tuple(self._findings),
            extra=self._extra,
            spellings={key: tuple(by_spelling) for key, by_spelling in self._spelled.items()},
            vm=vm,
            disks=disks,
            bootstrap=bootstrap,
        )

    def _find(self, kind: FindingKind, sentence: str) -> None:
        self._findings.append(Finding(kind=kind, sentence=sentence))

    def _examine_file(self, file: Vmx) -> None:
        if file.cut_off:
            self._find(FindingKind.CUT_OFF, "it ends in the middle of a line: the file was cut off")
        if file.malformed:
            lines = some(str(number) for number in file.malformed)
            self._find(FindingKind.MALFORMED_LINES, f"lines that are no entries of a VMX file: {lines}")
        ours = {spelling.lower(): spelling for spellings in SPELLINGS.values() for spelling in spellings}
        for name, differs in file.repeated.items():
            if differs and name in ours:
                sentence = f"it has {ours[name]} more than once, with different values; the first is judged here"
                self._find(FindingKind.CONFLICTING_ENTRY, sentence)
        if others := [name for name, differs in file.repeated.items() if not (differs and name in ours)]:
            self._find(FindingKind.REPEATED_ENTRY, f"names that are there more than once: {some(others)}")
        if not file.known_encoding:
            self._find(
                FindingKind.ENCODING, f"its encoding is {one_line(file.encoding)!r}, which is not known; read as UTF-8"
            )
        if file.undecodable:
            sentence = f"values that are not text in {one_line(file.encoding)}: {some(file.undecodable)}"
            self._find(FindingKind.ENCODING, sentence)
        disguised = [name for name in file.entries if name not in ours and any(ending in name for ending in ours)]
        if disguised:
            self._find(FindingKind.OTHER_NAME, f"keys of VM Service under names that are not theirs: {some(disguised)}")

    def _examine_spellings(self) -> None:
        used = {spelling for by_spelling in self._spelled.values() for spelling in by_spelling}
        both = {key: by_spelling for key, by_spelling in self._spelled.items() if len(by_spelling) > 1}
        for key, by_spelling in both.items():
            if len(set(by_spelling.values())) > 1:
                operators, guides = SPELLINGS[key]
                sentence = f"two values for {key}: {operators} counts, {guides} does not"
                self._find(FindingKind.SPELLINGS_DIFFER, sentence)
        as_operator, as_guide = (
            any(len(spellings) > 1 and spellings[place] in used for spellings in SPELLINGS.values()) for place in (0, 1)
        )
        sentence = "its keys are spelled as VM Operator writes them (vmservice.virtualmachine.…)"
        if as_operator and as_guide:
            sentence = f"its keys are spelled in two ways; in both of them: {some(both) if both else 'none'}"
        elif as_guide:
            sentence = "its keys are spelled as the guide has them (vmservice.vmoperator.vmware.com/…)"
        if as_operator or as_guide:
            self._find(FindingKind.SPELLING, sentence)

    def _vm(self) -> Manifest | None:
        try:
            vm = record.recorded_vm(self._packed, self._parse)
        except UnusableRecord as error:
            self._find(_VM_FAULTS[error.fault], error.message)
            return None
        if too_old := record.version_too_old(vm):
            self._find(FindingKind.API_VERSION_TOO_OLD, too_old)
        if too_new := record.version_too_new(vm):
            self._find(FindingKind.API_VERSION_NEWER, too_new)
        return vm

    def _examine_names(self, vm: Manifest | None) -> None:
        (key,) = SPELLINGS[Key.NAMESPACED_NAME]
        if not self._extra.name:
            self._find(FindingKind.NAMESPACED_NAME_MISSING, f"{key} is missing, or not of the form NAMESPACE/NAME")
        if vm is None:
            return
        recorded = f"{vm.namespace}/{vm.name}"
        named = f"{self._extra.namespace}/{self._extra.name}"
        if self._extra.name and named != recorded:
            self._find(
                FindingKind.NAME_DIFFERS,
                f"{key} is {one_line(named)}, and the record is that of {one_line(recorded)}: it may be a copy",
            )
        display_name = self._file.get("displayName")
        if display_name and display_name != vm.name:
            sentence = f"vSphere calls the VM {one_line(display_name)!r}, and the record {one_line(vm.name)!r}"
            self._find(FindingKind.DISPLAY_NAME_DIFFERS, sentence)
        pairs = (
            ("BIOS UUID", self._file.bios_uuid, vm.spec.get("biosUUID")),
            ("instance UUID", self._file.instance_uuid, vm.spec.get("instanceUUID")),
        )
        for what, saved, wanted in pairs:
            if saved and isinstance(wanted, str) and wanted and saved != wanted.lower():
                sentence = f"its {what} is {saved}, and that of the recorded VirtualMachine {one_line(wanted)}"
                self._find(FindingKind.UUID_DIFFERS, sentence)

    def _examine_version(self) -> None:
        version = self._extra.backup_version
        if not version:
            self._find(FindingKind.BACKUP_VERSION_MISSING, f"there is no {Key.BACKUP_VERSION}")
        elif not (recorded_at(version) and int(version) >= _EARLIEST_VERSION):
            sentence = f"the {Key.BACKUP_VERSION} {one_line(version)!r} is no time in Unix milliseconds"
            self._find(FindingKind.BACKUP_VERSION_MALFORMED, sentence)

    def _bootstrap(self, vm: Manifest | None) -> tuple[BootstrapObject, ...]:
        try:
            objects = bootstrap_objects(self._packed, self._parse)
        except UnusableRecord as error:
            self._find(FindingKind.BOOTSTRAP_DAMAGED, error.message)
            return ()
        recorded = {bootstrap_object.name for bootstrap_object in objects}
        lacking = [name for name in references.bootstrap(vm) if name not in recorded] if vm else []
        if lacking:
            sentence = f"the VM is bootstrapped from Secrets or ConfigMaps that are not recorded: {some(lacking)}"
            self._find(FindingKind.BOOTSTRAP_NOT_RECORDED, sentence)
        return objects

    def _disks(self, vm: Manifest | None) -> DiskComparison:
        claims = record.recorded_claims(vm) if vm else ()
        listed: list[RecordedDisk] = []
        readable = True
        try:
            listed += (of_claims := record.claim_disks(self._packed, claims))
            if lacking := record.claims_without_disk(claims, of_claims):
                sentence = (
                    f"no disk is recorded for PVCs of the VM, which RegisterVM will not bring back: {some(lacking)}"
                )
                self._find(FindingKind.PVC_WITHOUT_DISK, sentence)
        except UnusableRecord as error:
            missing = error.fault is Fault.MISSING
            self._find(FindingKind.PVC_DISKS_MISSING if missing else FindingKind.PVC_DISKS_DAMAGED, error.message)
            readable = False
        try:
            listed += record.classic_disks(self._packed)
        except UnusableRecord as error:
            self._find(FindingKind.CLASSIC_DISKS_DAMAGED, error.message)
            readable = False
        if not self._file.recognised:
            self._find(
                FindingKind.INCOMPLETE, "it has no configuration of the VM, only ExtraConfig: no disks to compare"
            )
            return compare((), listed)
        compared = compare(self._file.disks, listed)
        self._findings += attached_findings(compared)
        if readable:
            self._findings += list_findings(compared, with_classic=Key.CLASSIC_DISKS in self._packed)
        return compared

    def _examine_switches(self) -> None:
        states = ", ".join(
            f"{'on' if self._automatic(generation) else 'off'} on {generation}"
            for generation in (Generation.VCF_9, Generation.VSPHERE_8_U3)
        )
        self._find(FindingKind.AUTOMATIC_REGISTRATION, f"automatic registration of the restored VM: {states}")
        if extra_config.disables_in_vain(self._packed.get(Key.DISABLE, "")):
            sentence = f"{Key.DISABLE} is {one_line(self._packed[Key.DISABLE])!r}, and only 'true' has an effect"
            self._find(FindingKind.OPT_OUT_WITHOUT_EFFECT, sentence)

    def _automatic(self, generation: Generation) -> bool:
        return bool(automatic(generation, enabled=self._extra.enabled, disabled=self._extra.disabled))
