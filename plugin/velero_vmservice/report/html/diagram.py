"""The drawing of an application: services on the left, VMs inside their nested groups on the right, lines between.

Positions are worked out here, in the units of the SVG's viewBox; the template only writes them down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.report.html.graph import GroupNode, VmNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.report.html.graph import Application
    from velero_vmservice.report.model import Result

MOST_VMS: Final = 40
"""The most that a drawing shows on a screen; the list below it has them all."""

WIDTH: Final = 1000
_SERVICE_WIDTH: Final = 290
_GROUPS_LEFT: Final = 440
_HEADER: Final = 34
_ROW: Final = 30
_GAP: Final = 6
_INSET: Final = 12
_SERVICE_HEIGHT: Final = 58
_CHARACTER: Final = 7.9
"""Width of a character of the monospaced name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Something drawn as a rectangle, with a name that fits."""

    node: GroupNode | VmNode | Result
    x: int
    y: int
    width: int
    height: int
    label: str
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line from a service to a VM."""

    path: str
    serving: bool
    """Whether the VM is behind the service now."""


@dataclass(slots=True)
class Picture:
    """All that is drawn of one application."""

    height: int = 0
    groups: list[Box] = field(default_factory=list)
    machines: list[Box] = field(default_factory=list)
    services: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


def draw(application: Application) -> Picture | None:
    """Lay out an application; None if it has nothing to connect or too much for a screen."""
    if not 0 < application.count <= MOST_VMS or not (application.services or application.groups):
        return None
    picture = Picture()
    left = _GROUPS_LEFT if application.services else 0
    bottom = _place(picture, (*application.groups, *application.loose), left, 0, WIDTH - left, depth=0)
    bottom = max(bottom, _place_services(picture, application.services))
    picture.height = bottom
    return picture


def _place(picture: Picture, nodes: Sequence[GroupNode | VmNode], x: int, y: int, width: int, *, depth: int) -> int:
    """Place nodes below each other and return where they end."""
    for node in nodes:
        if isinstance(node, VmNode):
            label = _fitted(node.name, width - 230)
            picture.machines.append(Box(node=node, x=x, y=y, width=width, height=_ROW, label=label))
            y += _ROW + _GAP
            continue
        at = len(picture.groups)
        inner = _place(picture, node.children, x + _INSET, y + _HEADER, width - 2 * _INSET, depth=depth + 1)
        height = max(inner, y + _HEADER) - y + _INSET - (_GAP if node.children else 0)
        label = _fitted(node.name, width - 260)
        box = Box(node=node, x=x, y=y, width=width, height=height, label=label, depth=depth % 2)
        picture.groups.insert(at, box)  # the outer one is painted first
        y += height + _GAP
    return y


def _place_services(picture: Picture, services: Sequence[Result]) -> int:
    """Place each service beside its VMs, and draw the lines; return where the services end."""
    rows: dict[str, Box] = {}
    for box in picture.machines:
        rows.setdefault(box.node.name, box)
    bottom = 0
    for service in sorted(services, key=lambda service: (_middle(service, rows), service.name)):
        top = max(bottom, round(_middle(service, rows) - _SERVICE_HEIGHT / 2), 0)
        label = _fitted(service.name, _SERVICE_WIDTH - 50)
        box = Box(node=service, x=0, y=top, width=_SERVICE_WIDTH, height=_SERVICE_HEIGHT, label=label)
        picture.services.append(box)
        picture.lines += [
            _line(box, rows[name], serving=name in service.endpoints)
            for name in dict.fromkeys((*service.selected, *service.endpoints))
            if name in rows
        ]
        bottom = top + _SERVICE_HEIGHT + 2 * _GAP
    return bottom


def _middle(service: Result, rows: dict[str, Box]) -> float:
    """Return the average position of a service's VMs; a service without VMs goes to the top."""
    centres = [rows[name].y + _ROW / 2 for name in service.selected if name in rows]
    return sum(centres) / len(centres) if centres else 0


def _line(service: Box, vm: Box, *, serving: bool) -> Line:
    x, y = service.width, service.y + service.height // 2
    end, row = vm.x, vm.y + _ROW // 2
    bend = (x + _GROUPS_LEFT) // 2
    return Line(path=f"M{x} {y}C{bend} {y} {bend} {row} {_GROUPS_LEFT} {row}H{end}", serving=serving)


def _fitted(text: str, width: int) -> str:
    """Cut a name to fit its box; the whole name is in the box's title."""
    most = max(int(width / _CHARACTER), 8)
    return text if len(text) <= most else f"{text[: most - 1]}…"
