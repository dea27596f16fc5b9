"""What the API server fills in by itself when an object is created: schema defaults and allocated addresses."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.kubernetes.api_objects import Content, Review


class Defaults:
    """An admission hook; one for each emulated API, because addresses are counted."""

    def __init__(self) -> None:
        self._hosts: Iterator[int] = itertools.count(1)

    def __call__(self, review: Review) -> None:
        match review.resource.kind:
            case "Service" if review.verb == "CREATE":
                self._service(review.new)
            case "PersistentVolumeClaim" if review.verb == "CREATE":
                review.new["status"] = {"phase": "Pending"}
            case "VirtualMachineGroup":
                for order in review.new.get("spec", {}).get("bootOrder") or ():
                    for member in order.get("members") or ():
                        member.setdefault("kind", "VirtualMachine")

    def _service(self, service: Content) -> None:
        spec = service.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
            host = next(self._hosts)
            spec["clusterIP"] = f"10.96.{host // 250}.{host % 250 + 1}"
        service["status"] = {"loadBalancer": {}}
