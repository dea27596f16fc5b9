"""pyvmomi, imported when a vCenter is set up, because the extra `vcenter` is optional."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from velero_vmservice.errors import InvalidSettings

API_VERSION: Final = "vim.version.v8_0_3_0"
"""The API of vSphere 8.0 U3, the first with RegisterVM; a newer vCenter serves it too."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """The used parts of pyvmomi; its types are made at run time, so they cannot be checked statically."""

    vim: Any
    vmodl: Any
    stub: Any


def load() -> Sdk:
    """Import pyvmomi; raises `InvalidSettings` if the extra is not installed."""
    try:
        from pyVmomi import vim, vmodl  # noqa: PLC0415 - an extra, and 100 ms
        from pyVmomi.SoapAdapter import SoapStubAdapter  # noqa: PLC0415
    except ImportError:
        raise InvalidSettings(
            "the settings name a vCenter, and pyvmomi is not installed",
            hint="install velero-plugin-for-vmservice[vcenter], or take vcenter out of the settings",
        ) from None
    return Sdk(vim, vmodl, SoapStubAdapter)
