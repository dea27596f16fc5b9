"""The thread that looks at applications: it goes on whatever a look comes to, and ends with what it serves."""

from __future__ import annotations

import threading

from velero_vmservice.captures.survey import Part, View
from velero_vmservice.metrics import REGISTRY
from velero_vmservice.metrics.now import APPLICATIONS
from velero_vmservice.monitoring.surveying import surveying


class Looks:
    """A survey that breaks down at its first look, and sees nothing of captures at the next."""

    def __init__(self) -> None:
        self.count = 0
        self.twice = threading.Event()
        self.later = threading.Event()

    def look(self) -> View:
        self.count += 1
        if self.count == 1:
            raise ZeroDivisionError
        if self.count > 2:
            self.later.set()
        self.twice.set()
        return View(unread={Part.CAPTURES: "unavailable"})


def test_a_look_that_breaks_down_is_a_defect_and_the_next_follows() -> None:
    looks = Looks()
    before = REGISTRY.get_sample_value("vmservice_internal_errors_total") or 0
    with surveying(looks.look, first=0, pause=0):
        assert looks.later.wait(30)
    assert REGISTRY.get_sample_value("vmservice_internal_errors_total") == before + 1
    assert REGISTRY.get_sample_value("vmservice_survey_unread", {"part": "captures"}) == 1
    assert REGISTRY.get_sample_value("vmservice_survey_unread", {"part": "backups"}) == 0
    assert REGISTRY.get_sample_value("vmservice_applications") == 0
    APPLICATIONS.update([], {})


def test_the_thread_ends_with_the_block() -> None:
    looks = Looks()
    with surveying(looks.look, first=3600):
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "survey")
    thread.join(30)
    assert not thread.is_alive()
    assert looks.count == 0
