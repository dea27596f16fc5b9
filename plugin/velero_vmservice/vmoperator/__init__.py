"""What VM Operator's objects mean: VirtualMachines, groups, their annotations, and what the Supervisor makes itself."""
