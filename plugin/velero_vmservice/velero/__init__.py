"""Velero's terms: actions, operation ids, filters and resource modifiers, read as Velero reads them."""
