"""One file per stage, in the order the data goes: ports in, decisions from core, no library in sight."""
