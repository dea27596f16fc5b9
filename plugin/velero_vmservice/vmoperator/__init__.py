"""The meaning of VM Operator's objects: VirtualMachines, groups, annotations, and objects of the Supervisor's own."""
