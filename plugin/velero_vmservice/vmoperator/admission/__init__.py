"""What VM Operator's webhooks would refuse."""
