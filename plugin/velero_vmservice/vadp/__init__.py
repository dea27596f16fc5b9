"""Life beside a VADP job without Velero: what the job's pre and post scripts ask of the product."""
