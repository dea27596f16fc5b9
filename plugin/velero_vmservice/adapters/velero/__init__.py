"""Velero's own objects about storage and modifiers, read as Velero reads them."""
