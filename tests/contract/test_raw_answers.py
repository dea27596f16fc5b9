"""Whatever bytes answer at an address, an edge ends in an error of ours that says what was asked and what to do."""

from __future__ import annotations

import gc
import hashlib
import socket
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from kubernetes import client

from tests.clock import SettableClock
from tests.contract import s3_servers
from tests.contract.certificates import self_signed
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.adapters.vcenter import inventory
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import VmServiceError
from velero_vmservice.kube.manifest import SECRET, ObjectRef
from velero_vmservice.settings.registration import EngineSettings, VCenterSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from velero_vmservice.adapters.s3.store import S3Store

OK = b"HTTP/1.1 200 OK\r\n"
RAW = {
    "nothing": b"",
    "zeros": bytes(200),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a status": b"HTTP/1.1",
    "no such status": b"HTTP/1.1 999 x\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc x\r\n\r\n",
    "a reason that is not text": b"HTTP/1.1 500 \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    "an error that is not text": b"HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    "a length of letters": OK + b"Content-Length: x\r\n\r\n{}",
    "a length below zero": OK + b"Content-Length: -5\r\n\r\n{}",
    "a length without an end": OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "broken chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk below zero": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "many headers": OK + b"a: b\r\n" * 500 + b"\r\n",
    "a long header": OK + b"a: " + b"b" * 100_000 + b"\r\n\r\n",
    "a header that is none": OK + b"\x00\xff\r\n\r\n",
    "broken gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
    "no such packing": OK + b"Content-Encoding: nonsense\r\nContent-Length: 4\r\n\r\njunk",
    "no such charset": b"HTTP/1.1 403 x\r\nContent-Type: text/html; charset=nonsense\r\n\r\n<html>",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "a redirect to no address": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    "a login of a proxy": b"HTTP/1.1 407 x\r\nProxy-Authenticate: \xff\r\nContent-Length: 0\r\n\r\n",
    "a login of a web server": b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
    "another protocol asked for": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
    "nothing, said well": b"HTTP/1.1 204 x\r\n\r\n",
    "text": OK + b"Content-Length: 5\r\n\r\nhello",
    "a number": OK + b"Content-Length: 1\r\n\r\n5",
    "no number": OK + b"Content-Length: 3\r\n\r\nNaN",
    "half a pair": OK + b'Content-Length: 8\r\n\r\n"\\ud800"',
    "a page": OK + b"Content-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
}


@contextmanager
def answering(answer: bytes, tls: ssl.SSLContext | None) -> Iterator[str]:
    """Answer every connection with these bytes, whatever is asked; yields `host:port`."""

    def speak(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            speaking = tls.wrap_socket(connection, server_side=True) if tls else connection
            with speaking:
                speaking.recv(65536)
                speaking.sendall(answer)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=speak, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def read_kubernetes(address: str, ca_file: Path) -> None:
    settings = client.Configuration(proxy="", no_proxy="")
    settings.host, settings.ssl_ca_cert = f"https://{address}", str(ca_file)
    KubernetesCluster(settings, timeout_seconds=0.5, clock=SystemClock()).get(ObjectRef(SECRET, "shop", "a"))


def call_vcenter(address: str, ca_file: Path) -> None:
    with closing(inventory.connect(_vcenter(address, ca_file), clock=SettableClock())) as connected:
        connected.register_vm.call("shop", "vm-7", ())


def look_into_vcenter(address: str, ca_file: Path) -> None:
    with closing(inventory.connect(_vcenter(address, ca_file), clock=SettableClock())) as connected:
        connected.inventory.look("shop", [ExpectedVm(name="web-1")])


def _vcenter(address: str, ca_file: Path) -> VCenterSettings:
    return VCenterSettings.model_validate(
        {"server": address, "user": "velero", "password": "s3cret", "ca_file": ca_file, "timeout_seconds": 1}
    )


def ask_engine(address: str, ca_file: Path) -> None:
    settings = EngineSettings(target=address, ca_file=ca_file, timeout_seconds=1)
    RegistrationEngine(settings, SystemClock()).observe("shop", [ExpectedVm(name="web-1")])


def write_storage(address: str, ca_file: Path) -> None:
    _storage(address, ca_file).put("a.json", b"{}", sha256=hashlib.sha256(b"{}").hexdigest())


def read_storage(address: str, ca_file: Path) -> None:
    _storage(address, ca_file).get("a.json")


def list_storage(address: str, ca_file: Path) -> None:
    list(_storage(address, ca_file).list(""))


def _storage(address: str, ca_file: Path) -> S3Store:
    location = s3_servers.location(f"https://{address}", "b", authorities=ca_file.read_text())
    return s3_servers.open_store(location, ca_file.parent, timeout_seconds=1.0)


_ASK = [
    read_kubernetes,
    call_vcenter,
    look_into_vcenter,
    ask_engine,
    write_storage,
    read_storage,
    list_storage,
]


# An answer that broke off leaves its connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ask", _ASK)
@pytest.mark.parametrize("answer", RAW)
def test_any_answer_is_read_or_refused_with_a_product_error(
    tmp_path: Path, ask: Callable[[str, Path], None], answer: str
) -> None:
    context, pem = self_signed(tmp_path)
    (tmp_path / "ca.pem").write_text(pem)
    with answering(RAW[answer], context) as address, pytest.raises(VmServiceError) as caught:
        ask(address, tmp_path / "ca.pem")
    gc.collect()  # now, or another test is blamed for the connection
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert "s3cret" not in str(caught.value)
    assert s3_servers.SECRET not in str(caught.value)


def test_a_question_that_cannot_be_put_names_the_engine() -> None:
    source = RegistrationEngine(EngineSettings(target="engine.test:1", insecure=True), SystemClock())
    with pytest.raises(VmServiceError, match=r"engine at engine\.test:1 .*the question cannot be sent \(") as caught:
        source.observe("shop", [ExpectedVm(name="web-\ud800")])
    assert "damaged name" in caught.value.hint
