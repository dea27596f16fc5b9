from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.fakes.registration import MemoryRegistration
from tests.unit.builders import vm, vsphere_namespace
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Forbidden, Unavailable
from velero_vmservice.registration.merge import combine
from velero_vmservice.registration.model import Registration, Source, State
from velero_vmservice.registration.poller import SourcePoller
from velero_vmservice.registration.sources import KubernetesRegistration, Look

WEB = [ExpectedVm(name="web-1"), ExpectedVm(name="web-2")]


@pytest.fixture(name="engine")
def _engine() -> MemoryRegistration:
    engine = MemoryRegistration(Source.ENGINE)
    engine.tell(
        "shop",
        Registration(name="web-1", state=State.READY),
        Registration(name="web-2", state=State.REGISTERING, percent=40),
    )
    return engine


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    cluster = MemoryCluster()
    cluster.seed(vsphere_namespace(), vm("web-1"))
    return cluster


def poller(*others: MemoryRegistration, cluster: MemoryCluster, clock: SettableClock | None = None) -> SourcePoller:
    clock = clock or SettableClock()
    return SourcePoller(kubernetes=KubernetesRegistration(cluster=cluster, clock=clock), others=others, clock=clock)


@pytest.fixture(name="sources")
def _sources(cluster: MemoryCluster, engine: MemoryRegistration) -> SourcePoller:
    return poller(engine, cluster=cluster)


def combined(sources: SourcePoller) -> dict[str, Registration]:
    return combine([vm.name for vm in WEB], sources.poll("shop", WEB, Look()))


def test_each_source_is_asked_once_and_one_answer_comes_of_it(
    sources: SourcePoller, engine: MemoryRegistration
) -> None:
    registrations = combined(sources)

    assert sources.names == ("kubernetes", "engine")
    assert {name: registration.state for name, registration in registrations.items()} == {
        "web-1": State.READY,
        "web-2": State.REGISTERING,
    }
    assert (registrations["web-1"].told_by, registrations["web-2"].percent) == ("engine, kubernetes", 40)
    assert engine.calls.counts["observe"] == 1


def test_no_source_is_asked_about_no_vms(sources: SourcePoller, engine: MemoryRegistration) -> None:
    assert sources.poll("shop", [], Look()) == []
    assert not engine.calls.made


def test_a_source_that_is_away_is_a_note(sources: SourcePoller, engine: MemoryRegistration) -> None:
    engine.calls.fail("observe", Unavailable("the engine is away", hint="look at its log"))
    registrations = combined(sources)

    assert {name: registration.state for name, registration in registrations.items()} == {
        "web-1": State.READY,
        "web-2": State.ABSENT,
    }
    assert registrations["web-1"].notes == ("engine cannot be asked: the engine is away: look at its log",)


def test_every_vm_waits_where_all_sources_are_away(
    sources: SourcePoller, engine: MemoryRegistration, cluster: MemoryCluster
) -> None:
    engine.calls.fail("observe", Unavailable("away"), times=1)
    cluster.calls.fail("list", Forbidden("denied"), on="VirtualMachine shop", times=1)
    registrations = combined(sources)

    assert {(registration.state, registration.can_wait) for registration in registrations.values()} == {
        (State.UNKNOWN, True)
    }
    assert registrations["web-2"].reason == "engine cannot be asked: away; kubernetes cannot be asked: denied"
    assert combined(sources)["web-1"].state is State.READY


def test_a_kind_that_the_cluster_forbids_is_logged_once(cluster: MemoryCluster) -> None:
    source = KubernetesRegistration(cluster=cluster, clock=SettableClock())
    cluster.calls.fail("list", Forbidden("claims are denied"), on="PersistentVolumeClaim")
    with capture_logs() as logged:
        for _ in range(3):
            source.observe("shop", WEB)

    (entry,) = logged
    assert (entry["event"], entry["namespace"]) == ("registration seen in part", "shop")
    assert "claims are denied" in entry["cause"]


def test_a_source_that_hangs_is_left_alone_for_a_while_and_holds_no_other_up(cluster: MemoryCluster) -> None:
    clock = SettableClock()
    slow, other = MemoryRegistration(Source.ENGINE), MemoryRegistration(Source.VCENTER)
    sources = poller(slow, other, cluster=cluster, clock=clock)

    def hang(_: str) -> None:
        clock.advance(15)
        raise Unavailable("timed out")

    slow.calls.before("observe", hang)

    def round_() -> dict[str, str]:
        return {
            answer.source: answer.problem for answer in sources.poll("shop", WEB, Look(), until=clock.monotonic() + 4)
        }

    assert round_() == {
        "kubernetes": "",
        "engine": "timed out",
        "vcenter": "the others took too long; it is asked in the next round",
    }
    clock.advance(5)
    assert round_() == {"kubernetes": "", "engine": "timed out", "vcenter": ""}
    assert slow.calls.counts["observe"] == 1
    clock.advance(30)
    assert round_()["engine"] == "timed out"
    assert slow.calls.counts["observe"] == 2


def test_a_vcenter_that_is_left_alone_is_noted_for_all_and_one_that_was_passed_over_is_not(
    cluster: MemoryCluster,
) -> None:
    clock = SettableClock()
    slow, vcenter = MemoryRegistration(Source.ENGINE), MemoryRegistration(Source.VCENTER)
    sources = poller(slow, vcenter, cluster=cluster, clock=clock)

    def hang(_: str) -> None:
        clock.advance(6)
        raise Unavailable("timed out", hint="see its log")

    def noted() -> str:
        look = Look()
        sources.poll("shop", WEB, look, until=clock.monotonic() + 4)
        return repr(look.vsphere_problem)

    slow.calls.before("observe", lambda _: clock.advance(6))
    assert noted() == "None"
    assert not vcenter.calls.made  # there was no time for it
    slow.calls.heal()
    vcenter.calls.before("observe", hang)
    assert noted() == noted() == "Unavailable('timed out')"
    vcenter.calls.heal()
    clock.advance(30)
    assert noted() == "None"


def test_a_slow_source_holds_the_others_up_for_one_round_only(cluster: MemoryCluster) -> None:
    clock = SettableClock()
    slow, other = MemoryRegistration(Source.ENGINE), MemoryRegistration(Source.VCENTER)
    sources = poller(slow, other, cluster=cluster, clock=clock)
    slow.calls.before("observe", lambda _: clock.advance(6))
    for _ in range(6):
        sources.poll("shop", WEB, Look(), until=clock.monotonic() + 4)
    assert (slow.calls.counts["observe"], other.calls.counts["observe"]) == (6, 3)


def test_a_source_that_breaks_down_at_once_is_left_alone_for_a_while_too(cluster: MemoryCluster) -> None:
    clock = SettableClock()
    broken = MemoryRegistration(Source.ENGINE)
    sources = poller(broken, cluster=cluster, clock=clock)
    broken.calls.fail("observe", ZeroDivisionError("by a strange answer"))
    with capture_logs() as logged:
        problems = {answer.problem for _ in range(5) for answer in sources.poll("shop", WEB, Look())}
    assert problems == {
        "",
        "it broke down (ZeroDivisionError): see the log and report it",
    }
    assert len(logged) == broken.calls.counts["observe"] == 1
    clock.advance(30)
    broken.calls.heal()
    assert [answer.problem for answer in sources.poll("shop", WEB, Look())] == ["", ""]
