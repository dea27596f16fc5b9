"""What Velero hands over: actions, operation ids, filters and resource modifiers, as Velero reads them."""
