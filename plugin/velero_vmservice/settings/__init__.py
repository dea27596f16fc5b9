"""What an administrator can set, where it was written, and how a wrong value is reported."""
