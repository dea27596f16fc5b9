"""`make journeys`: how far a reader has to travel through the product's code, as a table.

Only the package's own Python modules count: no generated code (`pb`), no templates, and no ports in memory.

- **modules of a room**: modules of one package, without its `__init__` and without packages in it.
- **import circles**: groups of modules, or of siblings in one package with all that is below each, of which every one
  leads to every other. Imports for type checkers alone count.
- **a waiting poll**: files of which a line runs in a minute of Velero's polls for a group and a service whose VM is not
  registered yet, as Kubernetes, vCenter and an engine say. The first polls do what is done once, and are left out.
- **the last poll to the stored report**: the same in the round of polls after which the report is stored.
- **"is this VM registered?"**: the same while the three sources are asked about two VMs, for the second time.
- **a registration source**: modules that name the engine, by its member of `Source`, its settings or its section of
  them: what another source from outside would have to be named in. A source's own package counts as one.
- **decisions that read a sentence back**: see `tests.tools.sentences`; `--sentences` lists them.
- **lines**: all lines of all modules, comments and docstrings included.

What runs is seen by `coverage`, imports by `grimp`, which import-linter is made of.
"""

from __future__ import annotations

import ast
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import coverage
import grimp
import structlog

import velero_vmservice
from tests.tools import sentences
from tests.unit.builders import NAMESPACE, group, service, vm
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.registration.model import Source
from velero_vmservice.settings.registration import SourceSections
from velero_vmservice.settings_faults import section_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tests.unit.builders import Json

PACKAGE: Final = "velero_vmservice"
PRODUCT: Final = Path(velero_vmservice.__file__).parent
REPORT: Final = "restores/again/20260301T120000Z/report.json"
OTHER_SOURCES: Final = ("vcenter", "engine")
POLLS_A_MINUTE: Final = 6
MOST_ROUNDS: Final = 20
WEB: Final = {"app": "web"}
VM: Final = vm("web-1", labels=WEB, group="tier")
APPLICATION: Final = (VM, group("tier", ["web-1"]), service("front", WEB))


def is_counted(module: Path) -> bool:
    """Say whether a file is a module of the product, and neither generated nor a port in memory."""
    within = module.relative_to(PRODUCT)
    return module.suffix == ".py" and within.parts[0] != "pb" and not module.name.startswith("memory")


def modules() -> list[Path]:
    return [module for module in sorted(PRODUCT.rglob("*.py")) if is_counted(module)]


def rooms() -> Mapping[str, int]:
    """Return the number of modules of each package, the largest first."""
    counted = Counter(
        module.parent.relative_to(PRODUCT.parent).as_posix() for module in modules() if module.name != "__init__.py"
    )
    return dict(counted.most_common())


def lines() -> int:
    return sum(len(module.read_text(encoding="utf-8").splitlines()) for module in modules())


def sentences_read_back() -> list[sentences.Look]:
    """Return where the product decides by what a sentence says."""
    sources = {module.relative_to(PRODUCT).as_posix(): module.read_text(encoding="utf-8") for module in modules()}
    return [look for module, source in sources.items() for look in sentences.read_back(source, module)]


def circles(nodes: Collection[str], imports_of: Callable[[str], Collection[str]]) -> list[list[str]]:
    """Return the groups of which every node leads to every other, by whatever way through these nodes."""
    reached = {node: _reached(node, nodes, imports_of) for node in nodes}
    groups = {frozenset(far for far in reached[node] if node in reached[far]) for node in nodes}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached(node: str, nodes: Collection[str], imports_of: Callable[[str], Collection[str]]) -> set[str]:
    reached, ahead = set[str](), [node]
    while ahead:
        ahead += [near for near in imports_of(ahead.pop()) if near in nodes and near not in reached]
        reached.update(ahead)
    return reached


def circles_of_modules(graph: grimp.ImportGraph) -> list[list[str]]:
    return circles(graph.modules, graph.find_modules_directly_imported_by)


def circles_of_siblings(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the circles among the children of each package, each child taken with all that is below it."""
    circles_found: list[list[str]] = []
    for package in sorted(graph.modules):
        children = graph.find_children(package)
        child_of = {module: child for child in children for module in (child, *graph.find_descendants(child))}
        imports: dict[str, set[str]] = {child: set() for child in children}
        for module, child in child_of.items():
            imported = graph.find_modules_directly_imported_by(module)
            imports[child] |= {child_of[module_imported] for module_imported in imported if module_imported in child_of}
        circles_found += circles(children, imports.__getitem__)
    return circles_found


def files_of(act: Callable[[], object]) -> list[str]:
    """Return the product's files of which a line runs, those in memory left out."""
    traced = coverage.Coverage(data_file=None, config_file=False, include=[f"{PRODUCT}/*"])
    with traced.collect():
        act()
    data = traced.get_data()
    ran = [Path(name) for name in data.measured_files() if data.lines(name)]
    return sorted(module.relative_to(PRODUCT).as_posix() for module in ran if is_counted(module))


def waiting_poll() -> list[str]:
    world, operations = lost()
    world.round(operations)
    world.round(operations)
    return files_of(lambda: [world.round(operations) for _ in range(POLLS_A_MINUTE)])


def last_poll() -> list[str]:
    world, operations = lost()
    world.round(operations)
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"))
    for _ in range(MOST_ROUNDS):
        files = files_of(lambda: world.round(operations))
        if world.store.exists(REPORT):
            return files
    raise AssertionError("the restore has stored no report")


def is_registered() -> list[str]:
    world = World(sources=OTHER_SOURCES)
    world.cluster.seed(VM)
    world.vsphere.vcenter.restore(NAMESPACE, restored(name="web-2"))
    asked_for = [ExpectedVm(name=name, instance_uuid=f"instance-of-{name}") for name in ("web-1", "web-2")]
    world.app.registering.look(NAMESPACE, asked_for)
    return files_of(lambda: world.app.registering.look(NAMESPACE, asked_for))


def naming(source: Source) -> list[str]:
    """Return the product's files that name a source: its member of `Source`, its settings, or its section of them."""
    section = section_of(SourceSections.model_fields[source].annotation)
    settings = section.__name__ if section is not None else ""
    files = set[str]()
    for module in modules():
        tree = ast.parse(module.read_text(encoding="utf-8"))
        if any(_names(node, source, settings) for node in ast.walk(tree)):
            within = module.relative_to(PRODUCT)
            own = within.parts[0] == "adapters" and str(source) in within.parent.name
            files.add((within.parent if own else within).as_posix())
    return sorted(files)


def _names(node: ast.AST, source: Source, settings: str) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="Source"), attr=member):
            return member == source.name
        case ast.Attribute(attr=section):
            return section == source.value
        case ast.Name(id=name) | ast.alias(name=name) | ast.ClassDef(name=name):
            return name in (settings, source.name)
        case _:
            return False


def lost() -> tuple[World, list[str]]:
    """Return a world whose application was backed up and lost, and the operations of its restore."""
    world = World(sources=OTHER_SOURCES)
    items: list[Json] = world.back_up(*APPLICATION)
    world.lose(*APPLICATION)
    return world, world.replay_all(items)


def table() -> Iterator[tuple[str, int, str]]:
    """Yield what is measured, how much it is, and the aim."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    sizes = rooms()
    yield f"modules of the largest room ({next(iter(sizes))})", next(iter(sizes.values())), "12"
    yield "import circles of modules", len(circles_of_modules(graph)), "0"
    yield "import circles of siblings", len(circles_of_siblings(graph)), "0"
    yield "files of a waiting poll", len(waiting_poll()), "25"
    yield "files of the last poll to the stored report", len(last_poll()), "30"
    yield 'files of "is this VM registered?", three sources', len(is_registered()), "12"
    yield "files that name a registration source (the engine)", len(naming(Source.ENGINE)), "4"
    yield "decisions that read a sentence back", len(sentences_read_back()), "0"
    yield "lines", lines(), "18500"
    for room, size in sizes.items():
        yield f"modules of {room}", size, "12"


def main() -> None:
    """Print the table, or with `--sentences` where a sentence is read back."""
    if "--sentences" in sys.argv:
        print(*sentences_read_back(), sep="\n")  # noqa: T201
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"{'measured':<60}{'now':>8}{'aim':>8}")  # noqa: T201 - the purpose of the script
    for what, value, aim in table():
        print(f"{what:<60}{value:>8}{aim:>8}")  # noqa: T201


if __name__ == "__main__":
    main()
