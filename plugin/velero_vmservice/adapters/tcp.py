"""A TCP connection to see whether somebody listens."""

from __future__ import annotations

import socket


class SocketProbe:
    """Connects from where this process runs; what a firewall hides from it counts as silent."""

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        """Connect and hang up; see the port."""
        try:
            with socket.create_connection((host, port), timeout=seconds):
                return ""
        except TimeoutError:
            return f"does not answer within {seconds:g} s"
        except OSError as error:
            return f"refuses the connection ({error.strerror or error})"
        except (ValueError, OverflowError) as error:
            return f"is no address that can be connected to ({error})"
