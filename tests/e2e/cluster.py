"""A real Kubernetes API on loopback: etcd, kube-apiserver and kube-controller-manager, and nothing that runs pods.

The controller-manager is there for what the tests rely on: garbage collection, namespace deletion, the `default`
ServiceAccount of a namespace and the mirroring of Endpoints.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

from tests.e2e.build import binary
from tests.e2e.certificates import Authority, KeyPair, write_signing_key
from tests.e2e.processes import Process, free_ports, run_command
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kubernetes.dynamic.resource import Resource

Manifest = dict[str, Any]


class AbsentError(AssertionError):
    """An object that a test needs is not there."""


class Cluster:
    """One API server with its own etcd; `kubeconfig` is the administrator's, beyond all RBAC."""

    def __init__(self, directory: Path, *, audited: bool = False) -> None:
        self.directory = directory
        self.audit = directory / "audit.jsonl" if audited else None
        """Where the API server writes a line for each request it has answered."""
        self.kubeconfig = directory / "admin.kubeconfig"
        self._api_port, *self._etcd_ports, self._controller_port = free_ports(4)
        self._dynamic: DynamicClient | None = None
        self.url = f"https://127.0.0.1:{self._api_port}"

    def start(self) -> None:
        """Start the three programs and wait until the API is healthy and namespaces come with their account."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._authority = Authority(self.directory)
        self._admin = self._authority.issue("admin", organization="system:masters")
        controller = self._authority.issue("system:kube-controller-manager")
        self._signing_key = write_signing_key(self.directory / "service-account.key")
        self._write_kubeconfig(self.kubeconfig, _certified(self._admin))
        controller_kubeconfig = self.directory / "controller-manager.kubeconfig"
        self._write_kubeconfig(controller_kubeconfig, _certified(controller))

        self.etcd = self._process("etcd", self._etcd_flags())
        self.api_server = self._process("kube-apiserver", self._api_server_flags())
        self.controller_manager = self._process(
            "kube-controller-manager", self._controller_flags(controller_kubeconfig)
        )
        self.etcd.start()
        self.api_server.start()
        self.api_server.wait_ready(self._healthy, deadline=120)
        self.controller_manager.start()
        self.controller_manager.wait_ready(
            lambda: self.exists("serviceaccounts", "default", namespace="default"), deadline=120
        )

    def stop(self) -> None:
        """Stop the programs; the data is not meant to be used again."""
        for name in ("controller_manager", "api_server", "etcd"):
            process: Process | None = getattr(self, name, None)
            if process is not None:
                process.stop(patience=5)

    def account(self, name: str) -> Path:
        """Make a user who may do everything RBAC can allow, and is not an administrator to VM Operator's webhooks.

        Return its kubeconfig.
        """
        kubeconfig = self.directory / f"{name}.kubeconfig"
        self._write_kubeconfig(kubeconfig, _certified(self._authority.issue(name)))
        self.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"account-{name}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
            }
        )
        return kubeconfig

    def service_account(self, namespace: str, secret: str) -> Path:
        """Wait until a Secret holds the token of its service account, and return a kubeconfig with it."""

        def token() -> str:
            return str((self.get("secrets", secret, namespace=namespace).get("data") or {}).get("token", ""))

        wait_until(token, 30, f"Secret {namespace}/{secret} holds a token")
        kubeconfig = self.directory / f"{namespace}-{secret}.kubeconfig"
        self._write_kubeconfig(kubeconfig, {"token": base64.b64decode(token()).decode()})
        return kubeconfig

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return what it printed."""
        return run_command([binary("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments], stdin=stdin)

    def create(self, *manifests: Manifest) -> None:
        """Create objects; it is an error if one is there already, or has a field that its kind does not know.

        Not by kubectl, which reads the whole OpenAPI document for each call: seconds, with all definitions served.
        """
        for manifest in manifests:
            kind = self._client().resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
            kind.create(body=manifest, query_params=[("fieldValidation", "Strict")])

    def apply(self, *manifests: Manifest) -> None:
        """Create or change objects by server-side apply, with force."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f-", stdin=_as_list(manifests))

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Manifest:
        """Return one object; `resource` is `plural` or `plural.group`. Raise AbsentError if it is not there."""
        manifest = self.find(resource, name, namespace=namespace)
        if manifest is None:
            raise AbsentError(f"{resource} {name} in {namespace or 'the cluster'}")
        return manifest

    def find(self, resource: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """Return one object, or None if it is absent."""
        try:
            manifest: Manifest = self._kind(resource).get(name=name, namespace=namespace).to_dict()
        except NotFoundError:
            return None
        return manifest

    def exists(self, resource: str, name: str, *, namespace: str | None = None) -> bool:
        """Tell whether an object is there."""
        return self.find(resource, name, namespace=namespace) is not None

    def all(self, resource: str, *, namespace: str | None = None, selector: str | None = None) -> list[Manifest]:
        """Return all objects of a kind in a namespace, or in all of them."""
        answer = self._kind(resource).get(namespace=namespace, label_selector=selector).to_dict()
        items: list[Manifest] = answer["items"]
        return items

    def namespace(self, name: str) -> str:
        """Create a namespace, wait for its `default` ServiceAccount, and return its name."""
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        wait_until(
            lambda: self.exists("serviceaccounts", "default", namespace=name), 120, f"account of namespace {name}"
        )
        return name

    def install(self, definitions: Iterable[Manifest]) -> None:
        """Create CustomResourceDefinitions and wait until discovery names every one of them."""
        definitions = list(definitions)
        self.create(*definitions)
        wanted = {definition["metadata"]["name"] for definition in definitions}
        wait_until(lambda: wanted <= self._discovered(), 120, "all new kinds are served")

    def discover_again(self) -> None:
        """Forget which kinds and versions are served: a test has changed that."""
        self._client().resources.invalidate_cache()

    def _kind(self, resource: str) -> Resource:
        plural, _, group = resource.partition(".")
        matches = self._client().resources.search(name=plural)
        # A kind is served in several versions; kubectl too reads the preferred one.
        return next(
            candidate
            for candidate in matches
            if (candidate.group or "", candidate.name, candidate.preferred) == (group, plural, True)
        )

    def _client(self) -> DynamicClient:
        # Waiting asks several times a second: one connection, not one kubectl for each question.
        if self._dynamic is None:
            api = new_client_from_config(str(self.kubeconfig))
            self._dynamic = DynamicClient(api, cache_file=str(self.directory / "discovery.json"))
        return self._dynamic

    def _discovered(self) -> set[str]:
        # kubectl speaks of "pods" and "widgets.example.com"; a fresh discovery, not kubectl's cache.
        return set(self.kubectl("api-resources", "--cached=false", "--no-headers", "-oname").split())

    def _healthy(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        context.load_cert_chain(self._admin.certificate, self._admin.key)
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _process(self, program: str, flags: Iterable[str]) -> Process:
        return Process([binary(program), *flags], log=self.directory / f"{program}.log")

    def _etcd_flags(self) -> list[str]:
        clients, peers = (f"http://127.0.0.1:{port}" for port in self._etcd_ports)
        return [
            f"--data-dir={self.directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]

    def _api_server_flags(self) -> list[str]:
        server = self._authority.issue("kube-apiserver", loopback_server=True)
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_ports[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._api_port}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={self._authority.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._signing_key}",
            f"--service-account-signing-key-file={self._signing_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            *self._audit_flags(),
        ]

    def _audit_flags(self) -> list[str]:
        if self.audit is None:
            return []
        rules = self.directory / "audit-policy.yaml"
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
        rules.write_text(yaml.safe_dump(policy))
        return [f"--audit-policy-file={rules}", f"--audit-log-path={self.audit}"]

    def _controller_flags(self, kubeconfig: Path) -> list[str]:
        return [
            f"--kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._controller_port}",
            "--leader-elect=false",
            f"--service-account-private-key-file={self._signing_key}",
            f"--root-ca-file={self._authority.certificate}",
            # without its own account per controller, the deletion of a namespace never ends
            "--use-service-account-credentials=true",
        ]

    def _write_kubeconfig(self, path: Path, user: Mapping[str, str]) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self._authority.certificate)}
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "clusters": [{"name": "e2e", "cluster": cluster}],
            "users": [{"name": "e2e", "user": dict(user)}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        }
        path.write_text(yaml.safe_dump(text))


def _certified(client: KeyPair) -> Mapping[str, str]:
    """Return the user of a kubeconfig that logs in with a certificate."""
    return {"client-certificate": str(client.certificate), "client-key": str(client.key)}


def _scope(namespace: str | None) -> list[str]:
    return [] if namespace is None else [f"--namespace={namespace}"]


def _as_list(manifests: Iterable[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
