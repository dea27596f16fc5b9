# After a VADP job: captures once more under the restore point that the job has made, and reads that capture back.
#
#   post-job.ps1 -Job nightly -RestorePoint 4711 -Namespace shop,mail
param(
    [Parameter(Mandatory)] [string] $Job,
    [Parameter(Mandatory)] [string] $RestorePoint,
    [Parameter(Mandatory)] [string[]] $Namespace
)
$arguments = @($Namespace | ForEach-Object { '-n'; $_ })

& velero-vmservice capture @arguments --vadp-job $Job --restore-point $RestorePoint
exit $LASTEXITCODE
