"""Whether the plugin can do its work here: what is looked at, what is established, and what to do about it."""
