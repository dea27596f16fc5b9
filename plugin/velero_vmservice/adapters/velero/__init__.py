"""What Velero's own objects say of storage and modifiers, read as Velero reads them."""
