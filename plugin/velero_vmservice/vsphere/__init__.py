"""The meaning of vCenter's objects: VMs, their records in ExtraConfig, RegisterVM's tasks and errors."""
