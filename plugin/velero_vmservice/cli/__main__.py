"""`python -m velero_vmservice.cli`."""

from velero_vmservice.cli import main

main()
