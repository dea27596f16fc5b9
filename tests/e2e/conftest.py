"""The real stack, once a session; its logs are shown under every test that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.scene import Scene
from tests.e2e.sidecar import Sidecar
from tests.e2e.stack import Stack
from tests.e2e.vcenter import VCenterSimulator
from tests.e2e.velero import VSPHERE_PLUGIN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.emulator.supervisor import Supervisor

pytest.register_assert_rewrite(
    "tests.contract.cluster_contract", "tests.contract.object_store_contract", "tests.contract.registration_contract"
)

_TAIL = 3000
_running = pytest.StashKey[Stack]()
_log_sizes = pytest.StashKey[dict[str, int]]()


OLDER_VELERO: Final = "1.15.2"
ABOUT_VELERO: Final = frozenset(
    {"test_application", "test_beside_vsphere", "test_bundle", "test_restricted", "test_stack", "test_vms_alone"}
)
"""Modules whose tests depend on Velero's version: they run on the older one every time, all others with `--full`."""
WITH_FULL: Final = frozenset({"test_arm64", "test_image"})
"""Modules that need what takes long to build or install: with `--full` alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make e2e-full` ask for every test on every version."""
    parser.addoption("--full", action="store_true", help="run every test on every version of Velero")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `--full` asks for."""
    if config.getoption("--full"):
        return
    left_out = [item for item in items if _on_older_velero(item) and item.path.stem not in ABOUT_VELERO]
    left_out += [item for item in items if item.path.stem in WITH_FULL and item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _on_older_velero(item: pytest.Item) -> bool:
    chosen = getattr(item, "callspec", None)
    return chosen is not None and OLDER_VELERO in chosen.params.values()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """An API server that looks like a Supervisor's, an S3 server, and Velero servers as tests ask for them."""
    running = Stack(tmp_path_factory.mktemp("stack", numbered=False), audited=True)
    request.config.stash[_running] = running
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Remember where every log ends, so that a failure shows what was written since."""
    stack = item.config.stash.get(_running, None)
    item.stash[_log_sizes] = {str(log): log.stat().st_size for log in stack.logs()} if stack else {}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the new part of every log of the stack to the report of a failed test."""
    report = yield
    stack = item.config.stash.get(_running, None)
    if report.failed and stack is not None:
        for log in stack.logs():
            with log.open("rb") as file:
                file.seek(item.stash[_log_sizes].get(str(log), 0))
                text = file.read().decode(errors="replace")
            if text:
                report.sections.append((f"{log} during this test, its end", text[-_TAIL:]))
    return report


@pytest.fixture(scope="session")
def supervisor(stack: Stack) -> Iterator[Supervisor]:
    """VM Operator with its webhooks, WCP and a VADP vendor, at work on the stack's API for the whole session."""
    with stack.supervisor() as playing:
        yield playing


@pytest.fixture(scope="session", params=["1.18.2", OLDER_VELERO])
def scene(stack: Stack, supervisor: Supervisor, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One Velero server with our sidecar, beside velero-plugin-for-vsphere and its list of blocked resources."""
    server = stack.velero(request.param)
    server.add_plugin(VSPHERE_PLUGIN)
    server.reset_blocked_resources()
    sidecar = Sidecar(server)
    sidecar.start()
    try:
        server.start()
        yield Scene(server=server, sidecar=sidecar, supervisor=supervisor)
    finally:
        server.close()
        sidecar.stop()


@pytest.fixture(name="space")
def _space(scene: Scene, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace name of the test's own."""
    with scene.space_of(request.node.originalname) as name:
        yield name


@pytest.fixture(scope="session")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VCenterSimulator]:
    """A vCenter with TLS and one account, and no VMs but those that tests restore."""
    directory = tmp_path_factory.mktemp("vcenter")
    simulator = VCenterSimulator(directory, Authority(directory))
    try:
        simulator.start()
        yield simulator
    finally:
        simulator.stop()
