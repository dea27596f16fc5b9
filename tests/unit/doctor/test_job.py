from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.tools.markdown import ROOT
from tests.unit.doctor.deployments import IMAGE, deployment
from velero_vmservice.doctor import job
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.settings.reading import Settings
from velero_vmservice.settings_faults import section_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

OVERLAY = yaml.safe_load((ROOT / "charts" / "velero-values.yaml").read_text(encoding="utf-8"))
TOKEN = "/var/run/secrets/velero-vmservice"
REFERENCE = {"secretKeyRef": {"name": "cloud", "key": "key"}}


def pod_of(made: job.DoctorJob) -> dict[str, Any]:
    pod: dict[str, Any] = made.manifest["spec"]["template"]["spec"]
    return pod


def with_variables(**variables: Any) -> dict[str, Any]:
    """Velero's Deployment, with these variables in its container: a text is literal."""
    written = deployment()
    (server,) = written["spec"]["template"]["spec"]["containers"]
    server["env"] = [
        {"name": name, "value": value} if isinstance(value, str) else {"name": name, "valueFrom": value}
        for name, value in variables.items()
    ]
    return written


def secret_settings(model: type[BaseModel] = Settings, above: str = "VMSERVICE") -> Iterator[str]:
    """Every variable that takes a secret."""
    for name, field in model.model_fields.items():
        variable = f"{above}_{name}".upper()
        if section := section_of(field.annotation):
            yield from secret_settings(section, f"{variable}_")
        elif "SecretStr" in str(field.annotation):
            yield variable


def test_the_job_runs_as_velero_with_its_credentials_and_without_its_plugins() -> None:
    made = job.of_deployment(Manifest(deployment(securityContext={"fsGroup": 65532})))
    assert made.manifest["metadata"] == {"generateName": "velero-vmservice-doctor-", "namespace": "velero"}
    assert made.manifest["spec"]["ttlSecondsAfterFinished"] == 3600
    pod = pod_of(made)
    (container,) = pod["containers"]
    assert (pod["serviceAccountName"], pod["restartPolicy"]) == ("velero", "Never")
    assert made.manifest["spec"]["backoffLimit"] == 0
    assert pod["securityContext"] == {"fsGroup": 65532}
    assert (container["image"], container["args"]) == (IMAGE, ["doctor", "--cluster-only"])
    assert container["env"] == [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}]
    assert container["volumeMounts"] == [{"name": "cloud-credentials", "mountPath": "/credentials"}]
    assert pod["volumes"] == [{"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}}]
    assert made.left_out == []


def test_a_sidecar_s_job_has_its_settings_and_the_token_of_its_account() -> None:
    of_overlay = deployment(inits=OVERLAY["initContainers"], securityContext=OVERLAY["podSecurityContext"])
    of_overlay["spec"]["template"]["spec"]["volumes"] += OVERLAY["extraVolumes"]
    made = job.of_deployment(Manifest(of_overlay))
    (container,) = pod_of(made)["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {
        "/credentials": "cloud-credentials",
        "/etc/velero-vmservice": "vmservice-settings",
        TOKEN: "vmservice-account",
    }
    assert {volume["name"] for volume in pod_of(made)["volumes"]} == set(mounts.values())
    assert {variable["name"] for variable in container["env"]} == {
        "VMSERVICE_SOCKET_GROUP_ACCESS",
        "VMSERVICE_VELERO_NAMESPACE",
        "AWS_SHARED_CREDENTIALS_FILE",
    }
    assert container["securityContext"] == {
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SHARED_CREDENTIALS_FILE", "/credentials/cloud"),
        ("AWS_REGION", "eu-central-1"),
        ("HTTPS_PROXY", "http://proxy.example.com:3128"),
        ("no_proxy", "10.0.0.0/8"),
        ("VELERO_NAMESPACE", "velero"),
        ("VMSERVICE_LOG_LEVEL", "debug"),
        ("VMSERVICE_VCENTER__USER", "velero@vsphere.local"),
        ("VMSERVICE_VCENTER__PASSWORD_FILE", "/etc/velero-vmservice/vcenter/password"),
        ("VMSERVICE_VCENTER", '{"server": "vc", "user": "velero", "password_file": "/etc/password"}'),
        ("AWS_SECRET_ACCESS_KEY", REFERENCE),
        ("VMSERVICE_VCENTER__PASSWORD", REFERENCE),
    ],
)
def test_a_reference_is_copied_and_a_literal_that_holds_no_secret(name: str, value: Any) -> None:
    made = job.of_deployment(Manifest(with_variables(**{name: value})))
    (variable,) = pod_of(made)["containers"][0]["env"]
    assert value in (variable.get("value"), variable.get("valueFrom"))
    assert made.left_out == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t"),
        ("AWS_SESSION_TOKEN", "s3cr3t"),
        ("DATABASE_PASSWORD", "s3cr3t"),
        ("HTTPS_PROXY", "http://velero:s3cr3t@proxy.example.com:3128"),
        ("VMSERVICE_VCENTER", '{"server": "vc", "user": "velero", "password": "s3cr3t"}'),
        ("VMSERVICE_VCENTER", r'{"server": "vc", "user": "velero", "passwor\u0064": "s3cr3t"}'),
        ("vmservice_vcenter__password", "s3cr3t"),
        *((variable, "s3cr3t") for variable in secret_settings()),
    ],
)
def test_a_literal_that_may_be_secret_is_named_and_not_copied(name: str, value: str) -> None:
    made = job.of_deployment(Manifest(with_variables(**{name: value})))
    assert "s3cr3t" not in json.dumps(made.manifest)
    assert made.left_out == [name]


def test_the_settings_have_a_secret_that_is_looked_at() -> None:
    assert "VMSERVICE_VCENTER__PASSWORD" in set(secret_settings())


def test_an_image_that_is_named_is_taken() -> None:
    made = job.of_deployment(Manifest(deployment(inits=())), image="own:1")
    assert pod_of(made)["containers"][0]["image"] == "own:1"


def test_an_image_that_is_not_known_is_asked_for() -> None:
    with pytest.raises(InvalidSettings, match="its image is unknown"):
        job.of_deployment(Manifest(deployment(inits=())))


def test_the_line_of_the_documents_is_such_a_job() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("echo '{")]
    written = json.loads(line.removeprefix("echo '").partition("' | kubectl")[0])
    made = job.of_deployment(Manifest(deployment()), image="IMAGE").manifest
    assert {**written, "spec": {**written["spec"], "template": {}}} == {
        **made,
        "spec": {**made["spec"], "template": {}},
    }
    pod, its_own = written["spec"]["template"]["spec"], made["spec"]["template"]["spec"]
    assert {**its_own, **pod, "containers": []} == {**its_own, "containers": []}
    assert pod["containers"][0].items() <= its_own["containers"][0].items()
