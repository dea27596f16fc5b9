from __future__ import annotations

import json

import pytest

from tests.tools.markdown import ROOT
from tests.unit.doctor.deployments import IMAGE, deployment
from velero_vmservice.doctor import job
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import Manifest


def test_the_job_runs_as_velero_with_its_credentials_and_without_its_plugins() -> None:
    made = job.manifest(Manifest(deployment(securityContext={"fsGroup": 65532})))
    assert made["metadata"] == {"name": "velero-vmservice-doctor", "namespace": "velero"}
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["serviceAccountName"], pod["restartPolicy"], made["spec"]["backoffLimit"]) == ("velero", "Never", 0)
    assert pod["securityContext"] == {"fsGroup": 65532}
    assert (container["image"], container["args"]) == (IMAGE, ["doctor", "--cluster-only"])
    assert container["env"] == [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}]
    assert container["volumeMounts"] == [{"name": "cloud-credentials", "mountPath": "/credentials"}]
    assert pod["volumes"] == [{"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}}]


def test_an_image_that_is_named_is_taken() -> None:
    made = job.manifest(Manifest(deployment(inits=())), image="own:1")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "own:1"


def test_an_image_that_is_not_known_is_asked_for() -> None:
    with pytest.raises(InvalidSettings, match="its image is not known"):
        job.manifest(Manifest(deployment(inits=())))


def test_the_line_of_the_documents_is_such_a_job() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("echo '{")]
    written = json.loads(line.removeprefix("echo '").partition("' | kubectl")[0])
    made = job.manifest(Manifest(deployment()), image="IMAGE")
    pod, its_own = written["spec"]["template"]["spec"], made["spec"]["template"]["spec"]
    assert (written["metadata"], written["apiVersion"], written["kind"]) == (made["metadata"], "batch/v1", "Job")
    assert {**its_own, **pod, "containers": []} == {**its_own, "containers": []}
    assert pod["containers"][0].items() <= its_own["containers"][0].items()
