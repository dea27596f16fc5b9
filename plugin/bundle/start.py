# ruff: noqa: INP001 - becomes the module `vmservice_start` of the bundle
"""First code of the bundled Python: finds extension modules, and runs the command line.

Modules are in one archive, from which no shared library can be loaded. Extension modules are beside it, each under its
full name.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location

_FILES = f"{sys.prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}"


class _Extensions:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names = {name.removesuffix(".so") for name in os.listdir(folder)}  # noqa: PTH208 - pathlib is slow to load

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if name not in self._names:
            return None
        file = f"{self._folder}/{name}.so"
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


def _hold_runtime() -> None:
    """Keep installers from removing files that this process may still load; the lock ends with the process."""
    import fcntl  # noqa: PLC0415 - an extension module, not found before

    fcntl.flock(os.open(sys.prefix, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)


def main() -> None:
    """Run `velero-vmservice` with the arguments given."""
    sys.dont_write_bytecode = True  # nothing but installed files in Velero's plugins directory
    sys.meta_path.insert(2, _Extensions(f"{sys.prefix}/extensions"))  # after what is built in and frozen
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]  # the launcher's, for this process alone: a credential helper may be Python too
    os.environ.setdefault("SSL_CERT_FILE", f"{_FILES}/certifi/cacert.pem")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    _hold_runtime()
    from botocore.loaders import Loader  # noqa: PLC0415 - needs the lines above

    from velero_vmservice.cli import main as run  # noqa: PLC0415 - so does this

    Loader.BUILTIN_DATA_PATH = f"{_FILES}/botocore-data"
    run()
