# Before a VADP job: captures the applications whose VMs the job saves.
#
#   pre-job.ps1 -Job nightly -Namespace shop,mail [-Strict] [-JobVms FILE]
#
# -Strict          ends with 3, before anything is captured, if an application could not be restored
# -JobVms FILE     the VMs that the job saves, one name a line: ends with 3 if the job lacks one
#
# Its exit code is that of the command that failed, and 1 where velero-vmservice cannot be run.
param(
    [Parameter(Mandatory)] [string] $Job,
    [Parameter(Mandatory)] [string[]] $Namespace,
    [switch] $Strict,
    [string] $JobVms
)
$ErrorActionPreference = 'Stop'

function Invoke-VeleroVmservice([string[]] $CommandLine) {
    $ErrorActionPreference = 'Continue' # Windows PowerShell may take a note on standard error for an error
    $global:LASTEXITCODE = $null
    try { & velero-vmservice @CommandLine } catch { [Console]::Error.WriteLine($_) }
    if ($null -eq $LASTEXITCODE) {
        [Console]::Error.WriteLine('velero-vmservice could not be run: put it into the PATH of the account that runs the job')
        exit 1
    }
}

# powershell -File hands `shop,mail` over as one text.
$names = @($Namespace -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ })
if ($names.Count -eq 0) {
    [Console]::Error.WriteLine('-Namespace names no namespace')
    exit 2
}
$arguments = @($names | ForEach-Object { '-n'; $_ })

Invoke-VeleroVmservice (@('preflight') + $arguments)
if ($LASTEXITCODE -ne 0 -and $Strict) { exit $LASTEXITCODE }
if ($JobVms) { $arguments += '--job-vms', $JobVms }
Invoke-VeleroVmservice (@('capture') + $arguments + @('--vadp-job', $Job))
exit $LASTEXITCODE
