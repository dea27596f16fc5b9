"""Build the real programs the end-to-end tests run against, from pinned Go modules.

`python -m tests.e2e.build` builds everything, `python -m tests.e2e.build etcd crds` some of it. Each folder under
`tools/` is a small Go module that pins one group of programs with its `go.sum`; the Go command does the caching, so a
second run costs a fraction of a second for each tool. The results stay inside the checkout, in `.build/e2e`. Nothing
is downloaded but Go modules, and no toolchain is ever fetched: a Go that is too old is reported, not replaced.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.releases import NEWEST, RELEASES

TOOLS = Path(__file__).parent / "tools"
OUTPUT = Path(__file__).parents[2] / ".build" / "e2e"
BINARIES = OUTPUT / "bin"
CRDS = OUTPUT / "crds"

VELERO_VERSIONS = tuple(dict.fromkeys(release.velero for release in RELEASES))
KUBERNETES_VERSION = "1.33.13"
_HELM = "helm.sh/helm/v3"
_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_VELERO = "github.com/vmware-tanzu/velero"
_VM_OPERATOR = "github.com/vmware-tanzu/vm-operator"


class BuildError(Exception):
    """A tool cannot be built; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One program: where it is pinned, which package it is, and the string variables set in it."""

    name: str
    module: str
    package: str
    stamps: tuple[tuple[str, str], ...] = ()

    @property
    def binary(self) -> Path:
        """The finished program."""
        return BINARIES / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class CrdSource:
    """A module of which only the CustomResourceDefinitions are wanted, and the folders that hold them."""

    name: str
    module: str
    folders: tuple[str, ...]
    plurals: tuple[str, ...] = ()
    """The kinds that are wanted; all where none is named."""


def _kubernetes(name: str) -> Tool:
    stamp = ("k8s.io/component-base/version.gitVersion", f"v{KUBERNETES_VERSION}")
    return Tool(name=name, module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}", stamps=(stamp,))


def _helm() -> Tool:
    # Without these it renders for Kubernetes 1.20.
    major, minor, _ = KUBERNETES_VERSION.split(".")
    packages = (f"{_HELM}/pkg/chartutil", f"{_HELM}/pkg/lint/rules")
    stamps = [
        (f"{package}.k8sVersion{part}", value)
        for package in packages
        for part, value in (("Major", major), ("Minor", minor))
    ]
    return Tool(name="helm", module="helm", package=f"{_HELM}/cmd/helm", stamps=tuple(stamps))


def _velero(version: str) -> Tool:
    major, minor, _ = version.split(".")
    stamps = (
        (f"{_VELERO}/pkg/buildinfo.Version", f"v{version}"),
        # A library opens port 8080 for metrics that are not wanted, and Velero has no flag for it: with the port as it
        # is, no second server could live on this VM.
        ("sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress", "127.0.0.1:0"),
    )
    return Tool(
        name=f"velero-{version}",
        module=f"velero{major}{minor}",
        package=f"{_VELERO}/cmd/velero",
        stamps=stamps,
    )


ALL_TOOLS = (
    Tool(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kubectl"),
    Tool(name="versitygw", module="versitygw", package="github.com/versity/versitygw/cmd/versitygw"),
    *(_velero(version) for version in VELERO_VERSIONS),
    Tool(
        name="velero-plugin-for-aws",
        module="velero-plugin-for-aws",
        package="github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
    ),
    Tool(name="velero-plugin-for-vsphere", module="vsphere-standin", package="."),
    Tool(name="vcsim", module="vcsim", package="."),
    _helm(),
)

CRD_SOURCES = (
    # Velero's newest definitions accept all that older servers write: fields were only added.
    CrdSource(
        name="velero",
        module=f"{_VELERO}@v{NEWEST.velero}",
        folders=("config/crd/v1/bases", "config/crd/v2alpha1/bases"),
    ),
    CrdSource(
        name="vm-operator",
        module=f"{_VM_OPERATOR}@v1.10.0",
        folders=("config/crd/bases", "config/crd/external-crds"),
    ),
    CrdSource(
        name="prometheus-operator",
        module=f"{_PROMETHEUS_OPERATOR}@v0.85.0",
        folders=("example/prometheus-operator-crd",),
        plurals=("prometheusrules", "servicemonitors"),
    ),
)


def binary(name: str) -> Path:
    """Return the finished program `name`, or say how to build it."""
    path = BINARIES / name
    if not path.exists():
        raise BuildError(f"{name} is not built yet; run `python -m tests.e2e.build {name}`")
    return path


def build(tool: Tool) -> None:
    """Build one tool; what is up to date is only checked."""
    _demand_go(tool.module)
    flags = ["-s", "-w", *(f"-X={variable}={value}" for variable, value in tool.stamps)]
    _go(
        "build",
        "-buildvcs=false",
        "-trimpath",
        "-mod=readonly",
        f"-ldflags={' '.join(flags)}",
        f"-o={tool.binary}",
        tool.package,
        folder=TOOLS / tool.module,
    )


def copy_crds(source: CrdSource) -> int:
    """Copy one module's definitions below `.build/e2e/crds` and return how many there are."""
    answer = json.loads(_go("mod", "download", "-json", source.module, folder=TOOLS))
    target = CRDS / source.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    definitions = [file for folder in source.folders for file in sorted(Path(answer["Dir"], folder).glob("*.yaml"))]
    # A file is named GROUP_PLURAL.yaml.
    wanted = [file for file in definitions if not source.plurals or file.stem.rpartition("_")[2] in source.plurals]
    for file in wanted:
        shutil.copyfile(file, target / file.name)
    return len(wanted)


def main(names: list[str]) -> int:
    """Build the named tools, or all of them, one line each; `crds` names the definitions."""
    known = [tool.name for tool in ALL_TOOLS] + ["crds"]
    if unknown := sorted(set(names) - set(known)):
        sys.stderr.write(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}\n")
        return 2
    BINARIES.mkdir(parents=True, exist_ok=True)
    try:
        for tool in ALL_TOOLS:
            if not names or tool.name in names:
                _build_aloud(tool)
        if not names or "crds" in names:
            for source in CRD_SOURCES:
                _say(f"{'crds of ' + source.name:28} {copy_crds(source):3} definitions")
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _build_aloud(tool: Tool) -> None:
    started = time.monotonic()
    build(tool)
    size = tool.binary.stat().st_size / 1e6
    _say(f"{tool.name:28} {time.monotonic() - started:6.1f} s {size:5.0f} MB")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a build takes minutes; each line should be seen when it is true


def _demand_go(module: str) -> None:
    lines = (TOOLS / module / "go.mod").read_text().splitlines()
    wanted = next(line.split()[1] for line in lines if line.startswith("go "))
    # "go1.26.8" or "go1.26.8 X:experiment"; a development build ("devel …") is trusted to be new enough.
    have = _go("env", "GOVERSION", folder=OUTPUT.parents[1]).split()[0].removeprefix("go")
    if have[0].isdigit() and _numbers(have) < _numbers(wanted):
        raise BuildError(f"Go {wanted} or newer is needed for {module}, and this is Go {have}")


def _numbers(version: str) -> list[int]:
    # "1.27rc1" counts as 1.27
    return [int(part) for part in re.findall(r"\d+", version.partition("rc")[0])]


def _go(*arguments: str, folder: Path) -> str:
    # GOFLAGS and GOWORK of the VM must not decide what is built; proxy and caches are the VM's own.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
    try:
        done = subprocess.run(
            ["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise BuildError("the end-to-end tests need the Go toolchain, and there is no `go` on the PATH") from error
    if done.returncode != 0:
        raise BuildError(f"go {' '.join(arguments)} failed in {folder}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
