"""Certificates that Go, and so Velero, accepts are accepted, whatever Python's defaults; the others are not.

The clients are made to set what Python 3.13 and later set by themselves, so that any Python finds them out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from kubernetes import client

from tests.clock import SettableClock
from tests.contract import servers
from tests.registration_engine.engine import ReferenceEngine, serving
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.adapters.s3 import client as s3_client
from velero_vmservice.adapters.s3.location import S3Location
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.adapters.vcenter import inventory
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Unavailable, VmServiceError
from velero_vmservice.settings.registration import EngineSettings, VCenterSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def elliptic() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Signed:
    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)


def signed(
    name: str,
    *extensions: tuple[x509.ExtensionType, bool],
    by: Signed | None = None,
    key: Key | None = None,
    ends: dt.timedelta = DAY,
    host: str = "127.0.0.1",
) -> Signed:
    key = key or elliptic()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 2 * DAY)
        .not_valid_after(NOW + ends)
    )
    if host:
        names = [x509.IPAddress(ipaddress.ip_address(host))]
        extensions = (*extensions, (x509.SubjectAlternativeName(names), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Signed(certificate=builder.sign(by.key if by else key, hashes.SHA256()), key=key)


def ca(*, critical: bool = True) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=True, path_length=None), critical


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a server shows, and what a client trusts."""

    server: Signed
    chain: tuple[Signed, ...] = ()
    trusted: Signed


def _by_bare_authority() -> Case:
    """An authority without key usage and key identifiers, as vCenter's and older Kubernetes' own are."""
    authority = signed("authority", ca(), host="")
    return Case(server=signed("server", by=authority), trusted=authority)


def _by_uncritical_authority() -> Case:
    authority = signed("authority", ca(critical=False), host="")
    return Case(server=signed("server", by=authority), trusted=authority)


def _self_signed_authority() -> Case:
    alone = signed("server", ca())
    return Case(server=alone, trusted=alone)


def _self_signed_server() -> Case:
    alone = signed("server")
    return Case(server=alone, trusted=alone)


def _server_itself_trusted() -> Case:
    server = signed("server", by=signed("authority", ca(), host=""))
    return Case(server=server, trusted=server)


def _intermediate_trusted() -> Case:
    root = signed("root", ca(), host="")
    intermediate = signed("intermediate", ca(), by=root, host="")
    return Case(server=signed("server", by=intermediate), chain=(intermediate,), trusted=intermediate)


def _short_rsa_key() -> Case:
    authority = signed("authority", ca(), host="")
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return Case(server=signed("server", by=authority, key=key), trusted=authority)


ACCEPTED = (
    _by_bare_authority,
    _by_uncritical_authority,
    _self_signed_authority,
    _self_signed_server,
    _server_itself_trusted,
    _intermediate_trusted,
    _short_rsa_key,
)


def _unknown_authority() -> Case:
    return Case(server=signed("server", by=signed("authority", ca(), host="")), trusted=signed("authority", ca()))


def _another_host() -> Case:
    alone = signed("server", ca(), host="192.0.2.1")
    return Case(server=alone, trusted=alone)


def _expired() -> Case:
    alone = signed("server", ca(), ends=-DAY)
    return Case(server=alone, trusted=alone)


def _signed_by_a_server() -> Case:
    root = signed("root", ca(), host="")
    server = signed("server", (x509.BasicConstraints(ca=False, path_length=None), True), by=root)
    return Case(server=signed("other", by=server), chain=(server,), trusted=root)


REFUSED = (_unknown_authority, _another_host, _expired, _signed_by_a_server)


@pytest.fixture(autouse=True)
def _python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set on every context what Python and urllib3 set from 3.13 on; who wants otherwise has to say so."""
    made = ssl.SSLContext.__new__

    def new(cls: type[ssl.SSLContext], *arguments: Any, **named: Any) -> ssl.SSLContext:
        context = made(cls, *arguments, **named)
        if arguments and arguments[0] is ssl.PROTOCOL_TLS_CLIENT:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl.SSLContext, "__new__", new)


@pytest.fixture(name="serve")
def _serve(tmp_path: Path) -> Callable[[Case], contextlib.AbstractContextManager[tuple[str, Path]]]:
    """Serve what every client takes for an empty answer, with a case's certificate."""

    def answer(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "application/json")])
        return [b'{"kind": "APIResourceList", "groups": [], "resources": []}']

    @contextlib.contextmanager
    def serve(case: Case) -> Iterator[tuple[str, Path]]:
        (tmp_path / "server.pem").write_bytes(
            case.server.key_pem + case.server.pem + b"".join(certificate.pem for certificate in case.chain)
        )
        (tmp_path / "ca.pem").write_bytes(case.trusted.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=1")
        context.load_cert_chain(tmp_path / "server.pem")
        with servers.served(answer, tls=context) as url:
            yield url, tmp_path / "ca.pem"

    return serve


def kubernetes(url: str, ca_file: Path) -> None:
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = url, str(ca_file)
    assert not KubernetesCluster(settings, timeout_seconds=5, clock=SettableClock()).serves_group("example.com")


def vcenter_settings(url: str, ca_file: Path) -> VCenterSettings:
    server = url.rpartition("/")[2]
    return VCenterSettings(server=server, user="velero", password="s3cret", ca_file=ca_file)  # type: ignore[arg-type]


def vcenter_rest(url: str, ca_file: Path) -> None:
    with (
        contextlib.closing(inventory.connect(vcenter_settings(url, ca_file), clock=SettableClock())) as connected,
        pytest.raises(Unavailable, match="the login was answered without a session"),
    ):
        connected.session.post("call", "/api", {})


def vcenter_soap(url: str, ca_file: Path) -> None:
    with (
        contextlib.closing(inventory.connect(vcenter_settings(url, ca_file), clock=SettableClock())) as connected,
        pytest.raises(Unavailable, match="the answer is not SOAP"),
    ):
        connected.inventory.look("shop", [ExpectedVm(name="web-1", instance_uuid="", bios_uuid="")])


def s3(url: str, ca_file: Path) -> None:
    location = S3Location(
        source="BackupStorageLocation default",
        bucket="captures",
        url=url,
        path_style=True,
        authorities=ca_file.read_text(),
        credentials="[default]\naws_access_key_id=a\naws_secret_access_key=b\n",
    )
    made = s3_client.connect(location, timeout_seconds=5, directory=lambda: ca_file.parent, attempts=1)
    with pytest.raises(VmServiceError, match="is not S3"):
        S3Store(made, location).put("key", b"{}", sha256=hashlib.sha256(b"{}").hexdigest())


CLIENTS = (kubernetes, vcenter_rest, vcenter_soap, s3)


@pytest.mark.parametrize("connect", CLIENTS)
@pytest.mark.parametrize("case", ACCEPTED)
def test_what_go_accepts_is_accepted(
    serve: Any, case: Callable[[], Case], connect: Callable[[str, Path], None]
) -> None:
    with serve(case()) as (url, ca_file):
        connect(url, ca_file)


@pytest.mark.parametrize("connect", CLIENTS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_go_refuses_is_refused(serve: Any, case: Callable[[], Case], connect: Callable[[str, Path], None]) -> None:
    with serve(case()) as (url, ca_file), pytest.raises((VmServiceError, AssertionError), match="certificate"):
        connect(url, ca_file)


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_registration_engine_s_is_accepted_alike(tmp_path: Path, case: Callable[[], Case]) -> None:
    made = case()
    (tmp_path / "ca.pem").write_bytes(made.trusted.pem)
    shown = b"".join(each.pem for each in (made.server, *made.chain))
    credentials = grpc.ssl_server_credentials([(made.server.key_pem, shown)])
    with serving(ReferenceEngine(), tls=credentials) as target:
        settings = EngineSettings(target=target, ca_file=tmp_path / "ca.pem")
        registrations = RegistrationEngine(settings, SettableClock()).observe("shop", [ExpectedVm(name="web-1")])
    assert registrations["web-1"].sources == ("engine",)
