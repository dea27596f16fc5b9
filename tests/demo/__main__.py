"""`make demo`: an application is backed up, lost and restored on this computer alone.

Exit code 0 only if everything ended verified, 1 if not, 130 if interrupted.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys

import grpc

from tests.demo.place import place
from tests.demo.screen import Screen
from tests.demo.story import tell
from tests.e2e.processes import ProcessEndedError
from tests.rpc.velero_host import StartError
from tests.waiting import NotYetError


def main() -> int:
    """Run the demo; what goes wrong is a sentence, not a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not end the demo in a terminal without one
    logging.disable(logging.WARNING)  # of the libraries of the stage
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))  # and so end what was started
    _stay_here()
    screen = Screen()
    screen.title("Velero Plugin for VM Service: an application is backed up, lost and restored")
    try:
        with place() as demo:
            return 0 if tell(screen, demo) else 1
    except grpc.RpcError as error:
        screen.say(f"The plugin answered with an error: {error}", style="red")
    except (ProcessEndedError, NotYetError, StartError) as error:
        screen.say(f"The demo ended early: {error}", style="red")
    except KeyboardInterrupt:
        screen.say("Interrupted.")
        return 130
    return 1


def _stay_here() -> None:
    """Take away what would lead clients to another VM: the user's proxies and AWS settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


sys.exit(main())
