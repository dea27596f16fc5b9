"""What every RegistrationSource must hold. Subclass, give a `scene` fixture, and pytest runs the suite.

A scene holds a source and the world that it looks at. Sources see different parts of it, so the suite asks only for
what all must tell alike: whom they answer for, that nothing is ready before it is, that they ask anew, how they fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.registration.model import State
from velero_vmservice.registration.sources import Look

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.poller import RegistrationSource


class Scene(Protocol):
    """A world in which VMs are restored, registered and lost, and the source that tells of it."""

    namespace: str
    """Where the VMs are; nothing is there at first."""
    settled: State
    """What the source says at best of a registered VM that is well: READY, unless it cannot see that much."""

    @property
    def source(self) -> RegistrationSource:
        """Return the source under test."""

    def register(self, name: str) -> None:
        """Let a VM be registered and become ready; its instance UUID is what the suite asks for."""

    def begin(self, name: str) -> None:
        """Let its registration have begun and not ended."""

    def lose(self, name: str) -> None:
        """Take the VM away."""

    def away(self) -> AbstractContextManager[object]:
        """Let what the source asks be away until the block ends."""

    def denying(self) -> AbstractContextManager[object]:
        """Let what the source asks deny it until the block ends."""

    def requests(self) -> int:
        """Return how many requests the source has made so far."""


class RegistrationContract:
    """The suite."""

    @pytest.fixture(name="scene")
    def _scene(self) -> Scene:
        """Return an empty scene."""
        raise NotImplementedError

    def wanted(self, name: str) -> ExpectedVm:
        """Return the VM to ask for; an API that knows what a UUID is needs another one."""
        return wanted(name)

    def look(self, scene: Scene, name: str = "web-1") -> Registration:
        """Ask for one VM."""
        return scene.source.observe(scene.namespace, [self.wanted(name)])[name]

    def test_a_registered_vm_is_reported_with_its_source(self, scene: Scene) -> None:
        scene.register("web-1")
        registration = self.look(scene)

        assert (registration.name, registration.state, registration.can_wait) == ("web-1", scene.settled, True)
        assert registration.sources == (scene.source.name,)

    def test_there_is_one_answer_for_each_vm_that_was_asked_for(self, scene: Scene) -> None:
        for name in ("web-1", "web-2"):
            scene.register(name)
        registrations = scene.source.observe(
            scene.namespace, [self.wanted("web-2"), self.wanted("nowhere"), self.wanted("web-1")]
        )

        assert sorted(registrations) == ["nowhere", "web-1", "web-2"]
        assert {name: registration.name for name, registration in registrations.items()} == {
            name: name for name in registrations
        }

    def test_a_vm_that_is_nowhere_is_not_registered(self, scene: Scene) -> None:
        scene.register("web-1")
        registration = self.look(scene, "nowhere")

        assert registration.state in (State.ABSENT, State.UNKNOWN)
        assert registration.state is State.ABSENT or registration.reason

    def test_another_namespace_has_no_vm_of_this_one(self, scene: Scene) -> None:
        scene.register("web-1")
        registrations = scene.source.observe("no-such-namespace", [self.wanted("web-1")])
        assert registrations["web-1"].state in (State.ABSENT, State.UNKNOWN)

    def test_a_vm_is_not_ready_before_its_registration_ends(self, scene: Scene) -> None:
        scene.begin("web-1")
        registration = self.look(scene)

        assert registration.state not in (State.READY, State.UNKNOWN)
        assert registration.reason
        assert "\n" not in str(registration)

    def test_no_answer_is_stale(self, scene: Scene) -> None:
        scene.begin("web-1")
        states = [self.look(scene).state]
        scene.register("web-1")
        states.append(self.look(scene).state)
        scene.lose("web-1")
        states.append(self.look(scene).state)

        assert states[1] is scene.settled
        assert states[0] is not scene.settled
        assert states[2] in (State.ABSENT, State.UNKNOWN)

    def test_many_vms_cost_no_more_requests_than_one(self, scene: Scene) -> None:
        for number in range(30):
            scene.register(f"web-{number}")
        self.look(scene)  # whatever a first look costs once
        counts = []
        for many in ([self.wanted("web-0")], [self.wanted(f"web-{number}") for number in range(30)]):
            before = scene.requests()
            registrations = scene.source.observe(scene.namespace, many)
            counts.append(scene.requests() - before)
            assert {registration.state for registration in registrations.values()} == {scene.settled}

        assert counts[0] == counts[1] > 0

    def test_a_look_of_the_same_round_changes_no_answer(self, scene: Scene) -> None:
        scene.register("web-1")
        scene.begin("web-2")
        machines, look = [wanted("web-1"), wanted("web-2")], Look()
        alone = scene.source.observe(scene.namespace, machines)
        for _ in range(2):  # the first looks, the second takes what the first has seen
            assert scene.source.observe(scene.namespace, machines, look) == alone

    def test_no_request_is_made_for_no_vms(self, scene: Scene) -> None:
        before = scene.requests()
        assert scene.source.observe(scene.namespace, []) == {}
        assert scene.requests() == before

    def test_a_source_that_is_away_says_so_and_comes_back(self, scene: Scene) -> None:
        scene.register("web-1")
        assert self.look(scene).state is scene.settled
        with scene.away(), pytest.raises(Unavailable):
            self.look(scene)
        assert self.look(scene).state is scene.settled

    def test_a_source_that_is_denied_says_so_and_comes_back(self, scene: Scene) -> None:
        scene.register("web-1")
        with scene.denying(), pytest.raises(Forbidden):
            self.look(scene)
        assert self.look(scene).state is scene.settled


def wanted(name: str) -> ExpectedVm:
    return ExpectedVm(name=name, instance_uuid=f"instance-of-{name}")
