from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import obj
from tests.unit.doctor.deployments import deployment
from tests.unit.world import World
from velero_vmservice import app
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import DEPLOYMENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine

LOCATION = obj(
    "BackupStorageLocation",
    "default",
    api="velero.io/v1",
    namespace="velero",
    spec={"default": True},
    status={"phase": "Available"},
)


@pytest.fixture(name="place")
def _place(command: CommandLine) -> World:
    world = World()
    world.cluster.serve(DEPLOYMENT, "v1")
    world.cluster.seed(LOCATION, deployment())
    command.connects_to(world.start)
    return world


def states(command: CommandLine, *arguments: str) -> dict[str, str]:
    ran = command("doctor", "--cluster-only", "-o", "json", *arguments)
    return {check["name"]: check["state"] for check in json.loads(ran.out)["checks"]}


def wrong(command: CommandLine) -> set[str]:
    return {name for name, state in states(command).items() if state != "ok"}


def test_a_sound_installation_is_ok_throughout(place: World, command: CommandLine) -> None:
    ran = command("doctor", "--cluster-only")
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows[0] == ["STATE", "CHECK", "ESTABLISHED"]
    assert ["ok", "Velero's version", "Velero 1.18.2"] in ran.rows
    assert ["ok", "vCenter", "it answers: vCenter in memory"] in ran.rows
    assert any(line.endswith("; asked as system:serviceaccount:velero:velero") for line in ran.lines)
    assert ["ok", "registration engine", "it answers"] in ran.rows
    assert {line.split()[0] for line in ran.lines[1:-1]} == {"ok"}
    assert ran.lines[-1] == f"{len(ran.lines) - 2} ok"
    assert list(place.store.list("")) == []


def test_outside_of_veleros_pod_what_only_it_can_tell_is_unknown(
    place: World, command: CommandLine, tmp_path: Path
) -> None:
    assert place.store
    ran = command("doctor", "--plugins-dir", str(tmp_path / "none"))
    assert ran.code == 1
    assert [name for state, name, *_ in ran.rows[:-2] if state == "unknown"] == [
        "launcher",
        "daemon or sidecar",
        "order of plugins",
    ]


def test_a_right_that_is_denied_is_one_failed_check(place: World, command: CommandLine) -> None:
    place.cluster.denied.add(("create", "virtualmachinegroups.vmoperator.vmware.com"))
    ran = command("doctor", "--cluster-only")
    assert ran.code == 5
    name = "right to get, list, create, patch virtualmachinegroups.vmoperator.vmware.com in all namespaces"
    assert ["failed", name, "create denied: needed for capture, replay and verification"] in ran.rows
    assert (
        f"to do: {name}: allow the plugin's service account to create virtualmachinegroups.vmoperator.vmware.com"
        in ran.lines
    )
    assert wrong(command) == {name}


GET_SECRETS = "right to get secrets in Velero's namespace"


def names_secrets(place: World) -> None:
    """Have the location and the settings of the cluster name a Secret each, and the right be one by name."""
    storage = {"caCertRef": {"name": "bucket-ca", "key": "ca.crt"}}
    credential = {"name": "cloud", "key": "cloud"}
    place.cluster.seed({**LOCATION, "spec": {**LOCATION["spec"], "credential": credential, "objectStorage": storage}})
    labels = {"velero.io/plugin-config": "", "velero-plugin-for-vmservice": "BackupItemAction"}
    settings = "vcenter: {server: vc, user: velero, password_file: 'secret:vcenter/password'}"
    config_map = obj("ConfigMap", "settings", api="v1", namespace="velero", meta={"labels": labels})
    secret = obj("Secret", "vcenter", api="v1", namespace="velero", data={"password": "c2VjcmV0"})
    place.cluster.seed({**config_map, "data": {"settings.yaml": settings}}, secret)
    place.cluster.denied.add(("get", "secrets"))


def test_a_right_to_each_secret_that_is_named_is_enough(place: World, command: CommandLine) -> None:
    names_secrets(place)
    place.cluster.allowed_by_name |= {("get", "secrets", name) for name in ("cloud", "bucket-ca", "vcenter")}
    ran = command("doctor", "--cluster-only")
    sentence = "allowed for bucket-ca, cloud, vcenter, which is every one that is named"
    assert ["ok", GET_SECRETS, sentence] in ran.rows
    assert wrong(command) == set()


def test_a_secret_that_may_not_be_read_is_named(place: World, command: CommandLine) -> None:
    names_secrets(place)
    place.cluster.allowed_by_name.add(("get", "secrets", "cloud"))
    ran = command("doctor", "--cluster-only")
    (established,) = [row[2] for row in ran.rows if row[:2] == ["warning", GET_SECRETS]]
    assert "get of bucket-ca, vcenter denied in namespace velero" in established
    (hint,) = [line for line in ran.lines if line.startswith(f"to do: {GET_SECRETS}: ")]
    assert "to get secrets bucket-ca, vcenter in namespace velero" in hint
    assert wrong(command) == {GET_SECRETS}


def test_without_a_secret_that_is_named_no_right_is_missed(place: World, command: CommandLine) -> None:
    place.cluster.denied.add(("get", "secrets"))
    assert wrong(command) == set()


def test_a_bucket_that_denies_is_one_failed_check(place: World, command: CommandLine) -> None:
    place.store.calls.fail("put", Forbidden("cannot store", hint="allow s3:PutObject"))
    ran = command("doctor", "--cluster-only")
    assert ran.code == 5
    assert ["failed", "storage in location default", "write failed: cannot store"] in ran.rows
    assert "to do: storage in location default: allow s3:PutObject" in ran.lines
    assert wrong(command) == {"storage in location default"}


def test_an_api_server_that_is_away_is_asked_once_and_hides_nothing_else(place: World, command: CommandLine) -> None:
    for method in ("served_versions", "allowed", "get", "list", "serves_group"):
        place.cluster.calls.fail(method, Unavailable("the API server does not answer"))
    place.cluster.calls.made.clear()
    made = states(command)
    assert made["API server"] == "failed"
    assert (made["vCenter"], made["registration engine"]) == ("ok", "ok")
    assert {state for name, state in made.items() if name.startswith("right")} == {"unknown"}
    assert place.cluster.calls.counts["allowed"] == 1


def test_a_deployment_that_may_not_be_read_leaves_the_rest(place: World, command: CommandLine) -> None:
    place.cluster.calls.fail("get", Forbidden("cannot read Deployment velero/velero"), on="Deployment")
    ran = command("doctor", "--cluster-only")
    assert ran.code == 1
    assert ["unknown", "Velero's Deployment", "cannot read Deployment velero/velero"] in ran.rows
    assert wrong(command) == {"Velero's Deployment"}


def test_sources_that_do_not_answer_fail(place: World, command: CommandLine) -> None:
    place.vsphere.vcenter.calls.fail("about", Forbidden("the password of vCenter is refused", hint="renew it"))
    place.engine.calls.fail("observe", Unavailable("the engine is away"))
    assert wrong(command) == {"vCenter", "registration engine"}


def test_wrong_settings_are_reported_and_everything_else_is_checked(place: World, command: CommandLine) -> None:
    assert place.store
    command.patch.setenv("VMSERVICE_LOG_LEVEL", "loud")
    ran = command("doctor", "--cluster-only")
    assert ran.code == 5
    assert ran.rows[1][:2] == ["failed", "settings of this process"]
    assert ran.rows[1][2].startswith("VMSERVICE_LOG_LEVEL: log_level")
    assert ["ok", "Velero's version", "Velero 1.18.2"] in ran.rows


def test_wrong_settings_of_the_cluster_are_reported(place: World, command: CommandLine) -> None:
    labels = {"velero.io/plugin-config": "", "velero-plugin-for-vmservice": "BackupItemAction"}
    settings = obj(
        "ConfigMap",
        "settings",
        api="v1",
        namespace="velero",
        meta={"labels": labels},
        data={"settings.yaml": "log_levl: info"},
    )
    place.cluster.seed(settings)
    assert wrong(command) == {"settings of the cluster"}


def test_a_connection_that_cannot_be_set_up_hides_no_other(place: World, command: CommandLine) -> None:
    def connect(settings: object, **_: object) -> app.App:
        if settings.vcenter or not refused:
            refused.append(True)
            raise InvalidSettings("vcenter.ca_file holds no certificate", hint="put one there")
        return place.start(vcenter=False)

    refused: list[bool] = []
    command.patch.setattr(app, "connect", connect)
    made = states(command)
    assert made["connections"] == "failed"
    assert made["Velero's version"] == "ok"


def test_the_job_is_one_line(place: World, command: CommandLine) -> None:
    assert place.store
    ran = command("doctor", "--job")
    assert (ran.code, len(ran.lines)) == (0, 1)
    assert json.loads(ran.out)["spec"]["template"]["spec"]["serviceAccountName"] == "velero"
    assert ran.err == ""
    assert command("doctor", "--image", "x").code == 2


def test_a_variable_that_the_job_lacks_is_named_without_its_value(place: World, command: CommandLine) -> None:
    written = deployment()
    (server,) = written["spec"]["template"]["spec"]["containers"]
    server["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "s3cr3t"})
    place.cluster.seed(written)
    ran = command("doctor", "--job")
    assert (ran.code, len(ran.lines)) == (0, 1)
    assert ran.err.endswith("does not read: AWS_SECRET_ACCESS_KEY\n")
    assert "s3cr3t" not in ran.out + ran.err


def test_without_a_login_that_is_said_once_and_what_needs_none_is_looked_at(
    place: World, command: CommandLine, tmp_path: Path
) -> None:
    def refuse(**_: object) -> None:
        raise InvalidSettings("cannot log in to Kubernetes: there is no kubeconfig", hint="set KUBECONFIG")

    assert place.store
    command.patch.setattr(kubernetes, "connect", refuse)
    ran = command("doctor", "--plugins-dir", str(tmp_path / "none"))
    assert ran.code == 5
    assert ran.rows[1:3] == [
        ["ok", "settings of this process", "they are valid"],
        ["failed", "login to Kubernetes", "cannot log in to Kubernetes: there is no kubeconfig"],
    ]
    assert ran.lines[-3] == "to do: login to Kubernetes: set KUBECONFIG"
    assert ran.lines[-2].startswith("to do: launcher; daemon or sidecar; order of plugins: run kubectl")
