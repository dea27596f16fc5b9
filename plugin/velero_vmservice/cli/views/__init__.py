"""How a command shows what it has found: tables, lines and JSON."""
