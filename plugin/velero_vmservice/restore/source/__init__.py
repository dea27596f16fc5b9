"""From an operation's id to the object that is to be replayed, fitted to the Supervisor."""
