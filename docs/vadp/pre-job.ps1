# Before a VADP job: captures the applications whose VMs the job saves.
#
#   pre-job.ps1 -Job nightly -Namespace shop,mail [-Strict] [-JobVms FILE]
#
# -Strict          ends with 3, before anything is captured, if an application could not be restored
# -JobVms FILE     the VMs that the job saves, one name a line: ends with 3 if the job lacks one
param(
    [Parameter(Mandatory)] [string] $Job,
    [Parameter(Mandatory)] [string[]] $Namespace,
    [switch] $Strict,
    [string] $JobVms
)
$arguments = @($Namespace | ForEach-Object { '-n'; $_ })

& velero-vmservice preflight @arguments
if ($LASTEXITCODE -ne 0 -and $Strict) { exit $LASTEXITCODE }
if ($JobVms) { $arguments += '--job-vms', $JobVms }
& velero-vmservice capture @arguments --vadp-job $Job
exit $LASTEXITCODE
