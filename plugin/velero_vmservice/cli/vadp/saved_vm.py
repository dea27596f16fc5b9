"""`validate-vmx` and `extraconfig show`: what a VADP product has saved of a VM, read before it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.options import examples, table_output
from velero_vmservice.cli.options import output as output_of
from velero_vmservice.cli.vadp.saved_files import examined
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.saved_vm import contents_document, verdicts
from velero_vmservice.cli.views.table import Output  # noqa: TC001 - the option's value
from velero_vmservice.vsphere.saved.findings import Verdict

_EXIT_CODES: Final = {Verdict.UNREADABLE: ExitCode.NO_ANSWER, Verdict.NOT_RESTORABLE: ExitCode.BLOCKED}


@click.command(
    "validate-vmx",
    epilog=examples(
        "validate-vmx web-1.vmx", "validate-vmx -o wide restore-point/*/*.vmx", "validate-vmx - < web-1.vmx"
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@table_output
def validate_vmx(files: tuple[Path, ...], *, output: Output) -> None:
    """Check whether RegisterVM could bring back the VMs of the VMX files that a VADP job has saved.

    FILE is a VMX file, whole or only its ExtraConfig; - is standard input. No cluster and no vCenter is asked. Exits
    with 3 if a VM could not be restored, with 1 if a file could not be read.
    """
    examinations = {str(file): examined(file) for file in dict.fromkeys(files)}
    verdicts(examinations, output).show(output)
    codes = (_EXIT_CODES.get(examination.verdict, ExitCode.DONE) for examination in examinations.values())
    sys.exit(worst(*codes))


@click.group()
def extraconfig() -> None:
    """Look into what VM Operator records of a VM in its ExtraConfig."""


@extraconfig.command(epilog=examples("extraconfig show web-1.vmx", "extraconfig show web-1.vmx -o json"))
@click.argument("file", type=click.Path(path_type=Path))
@output_of("yaml", "json")
def show(file: Path, form: str) -> None:
    """Print what is readable of the record in a VMX file: the VM, its disks, its versions; of Secrets only the names.

    FILE is a VMX file, or - for standard input. Exits with 1 if it could not be read, with 3 if the VM in it could not
    be restored.
    """
    examination = examined(file)
    for finding in examination.findings:
        if finding.severity.grave:
            terminal.complain(f"{file}: {finding.sentence}", finding.hint)
    if examination.verdict is Verdict.UNREADABLE:
        sys.exit(ExitCode.NO_ANSWER)
    write = terminal.write_json if form == "json" else terminal.write_yaml
    write(contents_document(examination))
    sys.exit(_EXIT_CODES.get(examination.verdict, ExitCode.DONE))
