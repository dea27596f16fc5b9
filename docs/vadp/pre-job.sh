#!/bin/sh
# Before a VADP job: captures the applications whose VMs the job saves.
#
# usage: pre-job.sh JOB NAMESPACE...        e.g. pre-job.sh nightly shop mail
#
# STRICT=yes     ends with 3, before anything is captured, if an application could not be restored
# JOB_VMS=FILE   the VMs that the job saves, one name a line: ends with 3 if the job lacks one
#
# Its exit code is that of the command that failed. What a failed script does to the job is decided in the job.
set -eu

if [ "$#" -lt 2 ]; then
  echo "usage: pre-job.sh JOB NAMESPACE..." >&2
  exit 2
fi
job=$1
shift
case ${STRICT:-no} in
  yes | no) ;;
  *)
    echo "STRICT is yes or no, not $STRICT" >&2
    exit 2
    ;;
esac
# Each namespace becomes -n NAMESPACE, whatever its name holds.
for namespace in "$@"; do
  shift
  set -- "$@" -n "$namespace"
done

ready=0
velero-vmservice preflight "$@" || ready=$?
if [ "$ready" -ne 0 ] && [ "${STRICT:-no}" = yes ]; then
  exit "$ready"
fi
if [ -n "${JOB_VMS:-}" ]; then
  set -- "$@" --job-vms "$JOB_VMS"
fi
exec velero-vmservice capture "$@" --vadp-job "$job"
