"""Logging in to Kubernetes: whatever a kubeconfig or a pod holds, an error names the file and no secret."""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.config import incluster_config

from tests.contract import servers
from tests.contract.certificates import self_signed
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.kubernetes import login
from velero_vmservice.adapters.kubernetes.kubeconfig import contexts
from velero_vmservice.adapters.kubernetes.login import log_in, service_account
from velero_vmservice.errors import InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.kube.manifest import SECRET
from velero_vmservice.settings.access import LoginChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TOKEN = "S3cretCanary"


def kubeconfig(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "there", "user": "me"}}],
        "clusters": [{"name": "there", "cluster": {"server": "https://api.example.test:6443", **(cluster or {})}}],
        "users": [{"name": "me", "user": {"token": TOKEN} if user is None else user}],
    }


@pytest.fixture(name="file", autouse=True)
def _file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The kubeconfig in use, and no other way to log in."""
    for name in ("KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(file))
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00junk")
    return file


def refused(file: Path, content: bytes | dict[str, Any]) -> str:
    file.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    with pytest.raises(InvalidSettings) as caught:
        log_in()
    assert str(file) in str(caught.value)
    assert caught.value.hint
    assert TOKEN not in str(caught.value)
    return caught.value.message.replace(str(file), "config")


def test_a_token_logs_in(file: Path) -> None:
    file.write_text(yaml.safe_dump(kubeconfig()))
    login = log_in()
    assert (login.host, login.api_key) == ("https://api.example.test:6443", {"BearerToken": f"Bearer {TOKEN}"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{[", "config:1:3: the YAML cannot be read from here on"),
        (b"- a\n", "config:1: the text is not a mapping"),
        (b"text", "config:1: the text is not a mapping"),
        (b"", "cannot log in to Kubernetes with kubeconfig config: current-context is missing"),
        (b"a: \xff\n", "config:1: the text is not UTF-8"),
        (b"a: !!python/object:os.system x", "config:1:4: a value begins with ! and stands in no quotes"),
        (b"[" * 5000, "config:1:1: lists or mappings are nested too deep"),
        (b"current-context: c\ncontexts: 7\n", "cannot log in to Kubernetes: config:2: contexts has to be a list"),
        (
            b"current-context: c\ncontexts: [5]\n",
            "cannot log in to Kubernetes: config:2: contexts[0] has to be a section",
        ),
        (
            b"current-context: c\ncontexts:\n- name: c\n",
            "cannot log in to Kubernetes: config:3: contexts[0].context is missing",
        ),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_reported_with_its_line(file: Path, content: bytes, sentence: str) -> None:
    assert refused(file, content).startswith(sentence)


@pytest.mark.parametrize(
    ("cluster", "user", "sentence"),
    [
        ({"server": 5}, None, "the client cannot use it (AttributeError)"),
        ({"server": None}, None, "clusters[0].cluster.server has no value"),
        ({"server": "ftp://a"}, None, "clusters[0].cluster.server has no valid form"),
        ({"server": ["a"]}, None, "clusters[0].cluster.server has to be text"),
        ({"certificate-authority": "gone"}, None, "certificate-authority names no file: gone"),
        ({"certificate-authority": "binary"}, None, "the certificate authority is not a PEM certificate"),
        ({"certificate-authority-data": "Zm9v"}, None, "the certificate authority is not a PEM certificate"),
        ({}, {"tokenFile": "gone"}, "tokenFile names no file: gone"),
        ({}, {"tokenFile": "empty"}, "the token file empty is empty"),
        ({}, {"tokenFile": "binary"}, "a file that it names is not text"),
        ({}, {"token": f"{TOKEN}\nX: y"}, "the token has characters that no token has"),
        ({}, {"token": f"{TOKEN}\u20ac"}, "the token has characters that no token has"),
        ({}, {"client-certificate": "gone", "client-key": "gone"}, "client-certificate names no file: gone"),
        ({}, {"client-certificate": "binary", "client-key": "binary"}, "client certificate and key are not a PEM"),
        ({}, {"client-certificate-data": "%%", "client-key-data": "%%"}, "client certificate and key are not a PEM"),
        ({}, {"client-certificate-data": 5, "client-key-data": 5}, "the client cannot use it (TypeError)"),
        ({}, {"exec": 5}, "users[0].user.exec has to be a section"),
        ({}, {"exec": {}}, "users[0].user.exec.command is missing"),
        ({}, {"auth-provider": 5}, "users[0].user.auth-provider has to be a section"),
        ({}, [TOKEN], "users[0].user has to be a section"),
    ],
)
def test_a_value_that_a_kubeconfig_cannot_hold_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, cluster: dict[str, Any], user: Any, sentence: str
) -> None:
    monkeypatch.chdir(file.parent)
    assert sentence in refused(file, kubeconfig(cluster, user))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"current-context": "other"}, "current-context names no context of the file"),
        ({"clusters": []}, "the current context names no cluster of the file"),
        ({"users": None}, "the current context names no user of the file"),
    ],
)
def test_a_context_that_leads_nowhere_is_reported(file: Path, change: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(file, {**kubeconfig(), **change})


@pytest.mark.parametrize("command", ["/gone/away", "false", "true"])
def test_an_exec_command_that_gives_nothing_is_reported(file: Path, command: str) -> None:
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": command, "interactiveMode": "Never"}}
    assert f"its exec command {command} gave no credentials" in refused(file, kubeconfig({}, user))


def test_neither_kubeconfig_nor_pod_is_refused(file: Path) -> None:
    with pytest.raises(InvalidSettings, match="there is no such file") as caught:
        log_in()
    assert str(file) in caught.value.message


def test_a_key_may_stand_twice_as_for_kubectl(file: Path) -> None:
    file.write_text("kind: Config\n" + yaml.safe_dump(kubeconfig()))
    assert log_in().host == "https://api.example.test:6443"


def test_the_first_of_two_files_counts(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file.write_text(yaml.safe_dump(kubeconfig()))
    (tmp_path / "other").write_text(yaml.safe_dump(kubeconfig({"server": "https://other.test"})))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'gone'}:{file}:{tmp_path / 'other'}")
    assert log_in().host == "https://api.example.test:6443"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(TOKEN),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "user", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*above, key)
        yield from places(value, (*above, key))


WHOLE = kubeconfig(
    {
        "certificate-authority-data": "Zm9v",
        "proxy-url": "http://p",
        "tls-server-name": "a",
        "insecure-skip-tls-verify": True,
    },
    {
        "token": TOKEN,
        "client-certificate-data": "Zm9v",
        "client-key-data": "Zm9v",
        "username": "me",
        "password": TOKEN,
        "auth-provider": {"name": "oidc", "config": {"id-token": f"a.{TOKEN}.c"}},
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "true", "args": [], "env": []},
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(list(places(WHOLE))), odd=ODD)
def test_any_value_anywhere_in_a_kubeconfig_is_read_or_refused_with_a_product_error(
    file: Path, place: tuple[Any, ...], odd: Any
) -> None:
    document = copy.deepcopy(WHOLE)
    at: Any = document
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = odd
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    message = ""
    try:
        kubernetes.connect(timeout_seconds=1, clock=SystemClock())
    except VmServiceError as error:
        message = str(error)
    assert TOKEN not in message
    assert "\n" not in message


# Another context than the current one.


def test_a_context_that_is_chosen_comes_before_the_current_one(file: Path) -> None:
    document = kubeconfig()
    document["clusters"].append({"name": "else", "cluster": {"server": "https://else.example.test"}})
    document["contexts"].append({"name": "other", "context": {"cluster": "else", "user": "me"}})
    file.write_text(yaml.safe_dump(document))
    assert log_in(LoginChoice(context="other")).host == "https://else.example.test"
    assert contexts() == ["it", "other"]
    assert contexts(LoginChoice(kubeconfig=str(file.with_name("none")))) == []


def test_a_file_that_is_chosen_comes_before_that_of_the_environment(file: Path) -> None:
    chosen = file.with_name("chosen")
    chosen.write_text(yaml.safe_dump(kubeconfig({"server": "https://chosen.example.test"})))
    file.write_text(yaml.safe_dump(kubeconfig()))
    assert log_in(LoginChoice(kubeconfig=str(chosen))).host == "https://chosen.example.test"


@pytest.mark.parametrize(
    ("current", "chosen", "sentence"),
    [
        ("it", "its", "it has no context its"),
        ("its", "", "current-context names no context of the file"),
        (None, "", "current-context is missing"),
    ],
)
def test_a_context_that_there_is_not_is_refused_with_those_there_are(
    file: Path, current: str | None, chosen: str, sentence: str
) -> None:
    file.write_text(yaml.safe_dump({**kubeconfig(), "current-context": current}))
    with pytest.raises(InvalidSettings) as caught:
        log_in(LoginChoice(context=chosen))
    assert caught.value.message == f"cannot log in to Kubernetes with kubeconfig {file}: {sentence}"
    assert caught.value.hint == "choose one of its contexts with --context: it"


def test_a_chosen_context_of_an_unknown_cluster_is_named(file: Path) -> None:
    file.write_text(yaml.safe_dump({**kubeconfig(), "clusters": []}))
    with pytest.raises(InvalidSettings, match="the context it names no cluster of the file"):
        log_in(LoginChoice(context="it"))


# In a pod.


def test_in_a_pod_a_file_or_a_context_that_is_chosen_comes_before_the_account(pod: Path, file: Path) -> None:
    assert pod.is_dir()
    file.write_text(yaml.safe_dump(kubeconfig()))
    assert log_in(LoginChoice(kubeconfig=str(file))).host == "https://api.example.test:6443"
    with pytest.raises(InvalidSettings, match="there is no such file"):
        log_in(LoginChoice(kubeconfig=str(file.with_name("none")), context="it"))


@pytest.fixture(name="pod")
def _pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a pod's service account lies."""
    _, pem = self_signed(tmp_path)
    (tmp_path / "ca.crt").write_text(pem)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", servers.refused().rpartition(":")[2])
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


def test_a_pod_s_token_may_end_in_a_line_feed_as_for_velero(pod: Path) -> None:
    login = log_in()
    assert login.api_key == {"BearerToken": f"bearer {TOKEN}"}
    assert login.ssl_ca_cert == str(pod / "ca.crt")
    login.refresh_api_key_hook(login)  # type: ignore[misc] # it is set in a pod
    assert login.api_key == {"BearerToken": f"bearer {TOKEN}"}


@pytest.fixture(name="own")
def _own(pod: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the token of an account of the plugin's own lies, in a pod that has another one."""
    directory = pod / "own"
    directory.mkdir()
    (directory / "ca.crt").write_text((pod / "ca.crt").read_text())
    (directory / "token").write_text("own-token")
    monkeypatch.setattr(login, "OWN_ACCOUNT", directory)
    return directory


def test_an_account_of_the_plugin_s_own_comes_before_the_pod_s(own: Path) -> None:
    account = log_in()
    assert account.api_key == {"BearerToken": "bearer own-token"}
    assert account.ssl_ca_cert == str(own / "ca.crt")


@pytest.mark.parametrize(
    ("claims", "account"),
    [
        (b'{"sub": "system:serviceaccount:velero:own-account"}', "system:serviceaccount:velero:own-account"),
        (b'{"sub": "a person"}', ""),
        (b'{"sub": 7}', ""),
        (b"[]", ""),
        (b"{", ""),
        (b"\xff", ""),
    ],
)
def test_the_account_is_the_one_that_the_token_names(own: Path, claims: bytes, account: str) -> None:
    token = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    (own / "token").write_text(f"e30.{token}.c2lnbmF0dXJl\n")
    assert service_account(log_in()) == account


def test_a_token_that_names_no_account_is_of_none(own: Path) -> None:
    assert own.is_dir()
    assert service_account(log_in()) == ""


def test_a_kubeconfig_comes_before_an_account_of_the_plugin_s_own(
    own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert own.is_dir()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(InvalidSettings, match="there is no such file"):
        log_in()


@pytest.mark.parametrize(
    ("name", "sentence"), [("token", "Token file exists but empty"), ("ca.crt", "Cert file exists")]
)
def test_a_service_account_of_its_own_that_cannot_be_used_is_refused(own: Path, name: str, sentence: str) -> None:
    (own / name).write_text("")
    with pytest.raises(InvalidSettings, match="the service account in /var/run/secrets/velero-vmservice") as caught:
        log_in()
    assert sentence in caught.value.message
    assert caught.value.hint.startswith("delete the account's token Secret")


@pytest.mark.parametrize(
    ("name", "content", "excerpt"),
    [
        ("token", b"", "Token file exists but empty"),
        ("token", None, "Service token file does not exist"),
        ("token", b"\xff", "a file that it names is not text"),
        ("token", b"a\x00b", "the token has characters that no token has"),
        ("ca.crt", b"", "Cert file exists but empty"),
        ("ca.crt", b"junk", "the certificate authority is not a PEM certificate"),
    ],
)
def test_a_service_account_that_cannot_be_used_is_refused(
    pod: Path, name: str, content: bytes | None, excerpt: str
) -> None:
    (pod / name).unlink()
    if content is not None:
        (pod / name).write_bytes(content)
    with pytest.raises(InvalidSettings, match="with the pod's service account") as caught:
        log_in()
    assert excerpt in caught.value.message


def test_a_token_that_cannot_be_renewed_is_waited_for(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incluster_config.InClusterConfigLoader, "_read_token_file", _expired_at_once)
    cluster = kubernetes.connect(timeout_seconds=1, clock=SystemClock())
    (pod / "token").write_text("")
    with pytest.raises(Unavailable, match=r"the login cannot be renewed \(Token file exists but empty"):
        cluster.list(SECRET, "shop")


_READ = incluster_config.InClusterConfigLoader._read_token_file


def _expired_at_once(loader: Any) -> None:
    _READ(loader)
    loader.token_expires_at = loader.token_expires_at.replace(year=2000)
