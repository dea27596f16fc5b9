#!/bin/sh
# After a VADP job: captures once more under the restore point that the job has made, and reads that capture back.
#
# usage: post-job.sh JOB RESTORE_POINT NAMESPACE...        e.g. post-job.sh nightly 4711 shop mail
#
# The restore point is what the VADP product calls it: a restore finds the capture by it.
set -eu

if [ "$#" -lt 3 ]; then
  echo "usage: post-job.sh JOB RESTORE_POINT NAMESPACE..." >&2
  exit 2
fi
job=$1
point=$2
shift 2
for namespace in "$@"; do
  shift
  set -- "$@" -n "$namespace"
done

velero-vmservice capture "$@" --vadp-job "$job" --restore-point "$point"
