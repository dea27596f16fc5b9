"""Runs the commands of docs/walkthroughs.md as a reader would, and waits until each prints what the page shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from tests.e2e.test_command_line import run
from tests.tools.walkthroughs import sections
from tests.waiting import NotYetError, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.scene import Scene
    from tests.tools.walkthroughs import Step

_ASKS: Final = frozenset({"describe", "get", "plan", "report", "status"})
"""Commands that change nothing: they are repeated until they print what is expected."""
_EXIT_CODES: Final = range(6)


class Walkthrough:
    """The blocks of one section, with a namespace and a backup of the test's own."""

    def __init__(self, scene: Scene, heading: str, *, namespace: str) -> None:
        self._scene = scene
        self._blocks = list(sections()[heading])
        self._names = {"retail": namespace, "nightly": namespace}

    def next(self) -> None:
        """Run the next block."""
        for step in self._blocks.pop(0):
            self._take(step.as_in(self._names))

    def end(self) -> None:
        """Expect that no block is left."""
        assert self._blocks == []

    def _take(self, step: Step) -> None:
        command = shlex.split(step.command)
        printed = [""]

        def is_shown() -> bool:
            printed[0] = self._run(command)
            return step.shown_by(printed[0])

        try:
            wait_until(is_shown, 90 if _ASKS & {*command} else 0, f"{step.command} prints what the page shows")
        except NotYetError as error:
            error.add_note(f"the page shows:\n{step.output}\nit prints:\n{printed[0]}")
            raise

    def _run(self, command: Sequence[str]) -> str:
        match command:
            case ["velero", *arguments]:
                return self._scene.server.cli(*arguments)
            case ["kubectl", *arguments]:
                return self._scene.cluster.kubectl(*arguments)
            case ["velero-vmservice", *arguments]:
                return run(self._scene, *arguments, exits=_EXIT_CODES)
            case _:
                raise AssertionError(f"no command of the page: {command}")
