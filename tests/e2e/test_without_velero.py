"""A VADP job's scripts and a person's commands on a Supervisor that has no Velero: no object, no definition of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.scene import on_newest_velero
from tests.e2e.site import Site
from tests.e2e.stack import Stack
from tests.emulator import machines
from tests.tools.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_newest_velero


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    stack = Stack(directory := tmp_path_factory.mktemp("without-velero"))
    try:
        stack.start(velero=False)
        with stack.supervisor() as supervisor:
            site = Site(cluster=stack.cluster, store=stack.store, supervisor=supervisor, directory=directory)
            site.prepare()
            yield site
    finally:
        stack.stop()


def document(printed: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(printed)
    return content


def test_a_pre_job_script_seals_a_capture_with_every_vm_of_the_job(site: Site) -> None:
    application = machines.two_tier("shop", namespace="pre-job")
    site.deploy(application)
    printed = site.script("pre-job.sh", "Nightly Gold", "pre-job")
    (seal,) = [key for key in site.keys("vadp/nightly-gold/") if key.endswith("/capture.json")]
    assert f"sealed: {seal.removeprefix('vadp/').removesuffix('/capture.json')}" in printed
    assert all(f"pre-job/{name}" in printed for name in application.vm_names)


def test_a_job_that_lacks_a_vm_is_told_which(site: Site) -> None:
    site.deploy(machines.two_tier("shop", namespace="job-list"))
    names = site.ours("capture", "-n", "job-list", "-o", "name").splitlines()
    site.ours("capture", "-n", "job-list", "--job-vms", "-", typed="\n".join(names))
    answer = site.ours("capture", "-n", "job-list", "--job-vms", "-", exits=[3], typed="\n".join(names[1:]))
    assert f"the job does not save 1 of {len(names)} VMs: {names[0]}" in answer


def test_the_cron_job_is_what_an_api_server_takes(site: Site) -> None:
    manifests = [*yaml.safe_load_all((ROOT / "docs" / "vadp" / "cronjob.yaml").read_text())]
    for manifest in manifests:
        site.cluster.create(manifest)
    (job,) = site.cluster.all("cronjobs.batch", namespace="velero-vmservice")
    assert job["spec"]["schedule"] == "45 21 * * *"


def test_wrong_bucket_namespace_and_rights_are_one_clear_error(site: Site) -> None:
    answer = site.ours("capture", "-n", "nowhere", exits=[1])
    assert answer.splitlines()[-2:] == [
        "velero-vmservice: namespace nowhere does not exist",
        "hint: check the spelling and the kubeconfig's context",
    ]
    settings = site.settings.read_text()
    site.settings.write_text(settings.replace("vadp-captures", "no-such-bucket"))
    try:
        answer = site.ours("capture", "-n", "default", exits=[1])
    finally:
        site.settings.write_text(settings)
    assert "no-such-bucket" in answer
    assert "Traceback" not in answer


def test_a_preflight_judges_what_is_there_what_a_restore_asks_and_what_it_has_left_over(site: Site) -> None:
    application = machines.two_tier("shop", namespace="preflight")
    site.deploy(application)
    before = document(site.ours("preflight", "-n", "preflight", "-o", "json"))
    assert {each["verdict"] for each in before["applications"]} == {"restorable"}, before
    assert sorted(vm["name"] for each in before["applications"] for vm in each["vms"]) == sorted(application.vm_names)
    sealed = document(site.ours("capture", "-n", "preflight", "--vadp-job", "Checked", "-o", "json"))
    assert {each["verdict"] for each in sealed["applications"]} == {"restorable"}
    kept = site.directory / "before.json"
    in_place = document(
        site.ours(
            *("preflight", "--restore", "in-place", "--from", "checked", "--record", str(kept), "-o", "json"),
            exits=[0, 3],
        )
    )
    assert "state-not-recorded" not in codes(in_place)
    taken = document(site.ours("preflight", "--restore", "new", "--from", "checked", "-o", "json", exits=[3]))
    assert codes(taken) >= {"name-taken"}
    compared = document(site.ours("preflight", "--compare", str(kept), "-o", "json"))
    assert {claim["state"] for claim in compared["claims"]} == {"kept"}


def codes(checked: dict[str, Any]) -> set[str]:
    return {reason["code"] for each in checked["applications"] for reason in each["reasons"]}
