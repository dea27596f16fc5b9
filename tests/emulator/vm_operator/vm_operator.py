"""VM Operator at work: its three controllers, level-triggered, in a thread or one pass at a time.

Order within a pass is groups, VMs, services: in the real thing they run at once. Whatever goes wrong for one
object is tried again in the next pass, as a controller's queue does; nothing is remembered between passes but the
addresses handed out.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

import urllib3
from kubernetes.client import ApiException

from tests.emulator.vm_operator import vm_controller
from tests.emulator.vm_operator.group_controller import GroupController
from tests.emulator.vm_operator.service_controller import AlreadyOwnedError, ServiceController
from tests.emulator.wcp import csi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.emulator.kubernetes.cluster import Cluster, Object
    from tests.emulator.wcp.vcenter import VCenter

_log = logging.getLogger(__name__)
_WAKES: Final = 3  # what a controller writes wakes it again at once; the next pass sees to the rest


class VmOperator:
    """One Supervisor's VM Operator (with its CSI driver); a context manager that runs it in a thread."""

    def __init__(
        self,
        cluster: Cluster,
        vcenter: VCenter,
        *,
        delay_scale: float = 0.01,
        groups: bool = True,
        nsx: bool = False,
        interval: float = 0.2,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make one; boot delays are multiplied by `delay_scale`, passes are `interval` seconds apart."""
        self.unready: set[str] = set()
        self._cluster = cluster
        self._vcenter = vcenter
        self._clock = clock
        self._interval = interval
        self._groups = GroupController(cluster=cluster, delay_scale=delay_scale) if groups else None
        self._services = ServiceController(cluster=cluster, nsx=nsx)
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def placed(self) -> Sequence[str]:
        """Members (`namespace/name`) that a group sent to placement, because they had no unique id yet."""
        return tuple(self._groups.placed) if self._groups else ()

    def reconcile_once(self, namespace: str = "") -> None:
        """Give every object its turn, everywhere or in one namespace."""
        csi.bind_all(self._cluster, namespace)
        if self._groups is not None:
            self._each("VirtualMachineGroup", namespace, self._groups.reconcile)
        self._each("VirtualMachine", namespace, self._reconcile_vm)
        self._each("VirtualMachineService", namespace, self._services.reconcile)

    def settle(self, namespace: str = "", *, passes: int = 20) -> None:
        """Reconcile until a pass changes nothing: all but boot delays has come to rest."""
        for _ in range(passes):
            before = self._cluster.writes
            self.reconcile_once(namespace)
            if self._cluster.writes == before:
                return
        raise AssertionError(f"VM Operator does not come to rest within {passes} passes")

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="vm-operator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Keep the thread from acting for the length of a block, as `lose()` wants it."""
        with self._turn:
            yield

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with self._turn:
                    self.reconcile_once()
            except (ApiException, urllib3.exceptions.HTTPError) as error:
                _log.debug("pass failed: %s", error)

    def _each(self, kind: str, namespace: str, reconcile: Callable[..., None]) -> None:
        for listed in self._cluster.list(kind, namespace):
            metadata = listed["metadata"]
            newest: Object | None = listed
            for turn in range(_WAKES):
                before = self._cluster.writes
                if turn or kind == "VirtualMachineGroup":  # parents change their children within one pass
                    newest = self._cluster.get(kind, metadata["name"], metadata["namespace"])
                if newest is None:
                    break
                try:
                    reconcile(newest, now=self._clock())
                except (ApiException, AlreadyOwnedError) as error:
                    _log.debug("reconcile of %s %s failed: %r", kind, metadata["name"], error)
                    break
                if self._cluster.writes == before:
                    break

    def _reconcile_vm(self, machine: Object, **known: Any) -> None:
        vm_controller.reconcile(machine, cluster=self._cluster, vcenter=self._vcenter, unready=self.unready, **known)
