"""The real stack, once for each release of vSphere; its logs are shown under every test that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.build import VELERO_VERSIONS
from tests.e2e.certificates import Authority
from tests.e2e.releases import NEWEST, RELEASES, Part, Release
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


ABOUT_VELERO: Final = frozenset(
    {"test_application", "test_beside_vsphere", "test_bundle", "test_restricted", "test_stack", "test_vms_alone"}
)
"""Modules whose tests depend on the version of Velero or of the API; `releases` says where they run and when."""
STORY: Final = frozenset({"test_beside_vsphere", "test_bundle", "test_stack"})
"""Those of them that every run has time for on the oldest Velero too."""
WITH_FULL: Final = frozenset({"test_arm64", "test_image", "test_walkthroughs"})
"""Modules that need what takes long to build or install, or repeat what others hold: with `--full` alone."""
_WITH_FULL: Final = "with_full"
_GROUPS: Final = "groups"
_WITHOUT_GROUPS: Final = "without_groups"
_NEWEST: Final = "newest_release"
_SINCE_VELERO: Final = "since_velero"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make e2e-full` ask for all that `releases` has, or for one Velero of it."""
    parser.addoption("--full", action="store_true", help="run the whole suite on every version of Velero")
    parser.addoption(
        "--velero",
        action="append",
        choices=VELERO_VERSIONS,
        help="run what is about releases with this version of Velero alone; may be repeated",
    )
    parser.addoption("--chart-rights", action="store_true", help="give each sidecar no more rights than the chart does")


def pytest_configure(config: pytest.Config) -> None:
    """Declare what keeps a test from a release."""
    config.addinivalue_line("markers", f"{_GROUPS}: needs VirtualMachineGroups, runs on releases that have them")
    config.addinivalue_line("markers", f"{_WITHOUT_GROUPS}: runs on releases that have no VirtualMachineGroups")
    config.addinivalue_line("markers", f"{_WITH_FULL}: holds in unit tests too, runs with `--full` alone")
    config.addinivalue_line("markers", f"{_NEWEST}: depends on no release, runs on the newest")
    config.addinivalue_line("markers", f"{_SINCE_VELERO}(version): needs what Velero has since this version")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for a release, and what was not asked for."""
    left_out = [item for item in items if not _is_wanted(item, config)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_wanted(item: pytest.Item, config: pytest.Config) -> bool:
    chosen = getattr(item, "callspec", None)
    release: Release = chosen.params.get("vsphere", NEWEST) if chosen else NEWEST
    if release.velero not in (config.getoption("--velero") or VELERO_VERSIONS) or not _fits(item, release):
        return False
    full, module = config.getoption("--full"), item.path.stem
    if (module in WITH_FULL or item.get_closest_marker(_WITH_FULL)) and not full:
        return False
    match release.full if full else release.always:
        case Part.WHOLE:
            return True
        case Part.WITH_GROUPS:
            return item.get_closest_marker(_GROUPS) is not None or module in ABOUT_VELERO
        case Part.ABOUT_VELERO:
            return module in ABOUT_VELERO
        case Part.STORY:
            return module in STORY
        case None:
            return False


def _fits(item: pytest.Item, release: Release) -> bool:
    """Say whether a test can run on a release, by its markers."""
    if item.get_closest_marker(_WITHOUT_GROUPS if release.groups else _GROUPS) is not None:
        return False
    if release is not NEWEST and item.get_closest_marker(_NEWEST) is not None:
        return False
    since = item.get_closest_marker(_SINCE_VELERO)
    return since is None or _numbers(release.velero) >= _numbers(since.args[0])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


@pytest.fixture(scope="session", params=RELEASES, ids=lambda release: release.name)
def vsphere(request: pytest.FixtureRequest) -> Release:
    """Return the release of vSphere that a test is about."""
    release: Release = request.param
    return release


@pytest.fixture(scope="session")
def stack(
    vsphere: Release, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """An API server that looks like a Supervisor's, an S3 server, and Velero servers as tests ask for them."""
    directory = tmp_path_factory.mktemp(vsphere.name, numbered=False)
    running = Stack(directory, vsphere, audited=True, chart_rights=request.config.getoption("--chart-rights"))
    request.config.stash[_running] = running
    try:
        running.start()
        yield running
        assert running.refused() == []
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


@pytest.fixture(scope="session")
def scene(stack: Stack, supervisor: Supervisor) -> Iterator[Scene]:
    """One Velero server with our sidecar, beside velero-plugin-for-vsphere and its list of blocked resources."""
    server = stack.velero()
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
