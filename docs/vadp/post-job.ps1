# After a VADP job: captures once more under the restore point that the job has made, and reads that capture back.
#
#   post-job.ps1 -Job nightly -RestorePoint 4711 -Namespace shop,mail
#
# Its exit code is that of the command, and 1 where velero-vmservice cannot be run.
param(
    [Parameter(Mandatory)] [string] $Job,
    [Parameter(Mandatory)] [string] $RestorePoint,
    [Parameter(Mandatory)] [string[]] $Namespace
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

Invoke-VeleroVmservice (@('capture') + $arguments + @('--vadp-job', $Job, '--restore-point', $RestorePoint))
exit $LASTEXITCODE
