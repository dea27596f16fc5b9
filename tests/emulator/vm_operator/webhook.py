"""VM Operator's webhooks for a real API server: `admission.Rules` behind HTTPS, with the configuration that calls it.

Who counts as privileged comes from the request, as in the real ones: members of `system:masters` and whom the caller
names. A self-made certificate; the API server must reach 127.0.0.1.
"""

from __future__ import annotations

import base64
import copy
import ipaddress
import json
import ssl
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonpatch
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.emulator.kubernetes.cluster import Cluster
    from tests.emulator.vm_operator.admission import Rules

_NAME: Final = "vm-operator-player"
_RULE: Final = {
    "apiGroups": ["vmoperator.vmware.com"],
    "apiVersions": ["*"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["virtualmachines", "virtualmachinegroups", "virtualmachineservices"],
    "scope": "Namespaced",
}


@contextmanager
def webhooks(cluster: Cluster, rules: Rules, *, privileged: Collection[str] = ("system:masters",)) -> Iterator[None]:
    """Serve and register the webhooks for the length of a block; `privileged` names users and groups."""
    authority, context = _certificate()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(rules, frozenset(privileged)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="webhooks", daemon=True)
    thread.start()
    made = cluster.create(_configuration(f"https://127.0.0.1:{server.server_address[1]}", authority))
    try:
        yield
    finally:
        cluster.delete(made)
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(rules: Rules, privileged: frozenset[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(_answer(question["request"], rules, privileged)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    return Handler


def _answer(request: dict[str, Any], rules: Rules, privileged: frozenset[str]) -> dict[str, Any]:
    user = request["userInfo"]
    who = {user.get("username", ""), *(user.get("groups") or ())}
    effective = replace(rules, privileged=bool(who & privileged))
    new = copy.deepcopy(request["object"])
    problems = effective.apply(request["kind"]["kind"], new, request.get("oldObject"))
    answer: dict[str, Any] = {"uid": request["uid"], "allowed": not problems}
    if problems:
        answer["status"] = {"code": 403, "reason": "Forbidden", "message": "; ".join(problems)}
    elif new != request["object"]:
        patch = jsonpatch.make_patch(request["object"], new).to_string()
        answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch.encode()).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}


def _configuration(url: str, authority: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": _NAME},
        "webhooks": [
            {
                "name": "default.vmoperator.vmware.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "matchPolicy": "Equivalent",
                "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
                "rules": [_RULE],
            }
        ],
    }


def _certificate() -> tuple[bytes, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        Path(file.name).write_bytes(private + public)
        context.load_cert_chain(file.name)
    return public, context
