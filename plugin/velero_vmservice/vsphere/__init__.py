"""What vCenter's objects mean: VMs, their records in ExtraConfig, RegisterVM's tasks and errors."""
