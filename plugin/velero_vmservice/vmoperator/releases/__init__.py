"""What a release of the Supervisor can do: its API versions, its capabilities, its generation."""
