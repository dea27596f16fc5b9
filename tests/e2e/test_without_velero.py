"""A VADP job's scripts and a person's commands on a Supervisor that has no Velero: no object, no definition of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.scene import GROUPS, on_newest_velero
from tests.e2e.site import open_site
from tests.emulator import machines
from tests.tools.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.emulator.machines import Application

pytestmark = on_newest_velero


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("without-velero")) as site:
        yield site


def document(printed: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(printed)
    return content


@pytest.fixture(name="saved", scope="module")
def _saved(site: Site) -> Application:
    """An application that VADP jobs save."""
    application = machines.two_tier("shop", namespace="pre-job")
    site.deploy(application)
    return application


def test_a_pre_job_script_seals_a_capture_with_every_vm_of_the_job(site: Site, saved: Application) -> None:
    printed = site.script("pre-job.sh", "Nightly Gold", "pre-job")
    (seal,) = [key for key in site.keys("vadp/nightly-gold-") if key.endswith("/capture.json")]
    assert f"sealed: {seal.removeprefix('vadp/').removesuffix('/capture.json')}" in printed
    assert all(f"pre-job/{name}" in printed for name in saved.vm_names)


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
    sealed = document(site.ours("capture", "-n", "preflight", "--vadp-job", "checked", "-o", "json"))
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


def test_what_is_replaced_or_old_is_pruned(site: Site, saved: Application) -> None:
    replaced, newest = (captured(site, saved.namespace) for _ in range(2))
    site.ours("drill", "run", "--from", newest, exits=[0, 1, 3])
    drill = site.keys("drills/pre-job/")
    started, old = drill[0].split("/")[2], "20250101T000000Z"
    for key in drill:
        site.copy(key, key.replace(started, old))
    site.age("vadp/pre-job/", "drills/pre-job/", days=2)
    keep = ("captures", "prune", "--vadp-job", "pre-job", "--older-than", "1s", "--keep-last", "0", "--delete")
    assert replaced in site.ours(*keep)
    assert {"/".join(key.split("/")[1:3]) for key in site.keys("vadp/pre-job/")} == {newest}
    assert old in site.ours("prune", "--older-than", "1d", "--delete")
    assert site.keys("drills/pre-job/") == drill


def captured(site: Site, name: str) -> str:
    """Capture a namespace for a job of its name; return the capture."""
    return str(document(site.ours("capture", "-n", name, "--vadp-job", name, "-o", "json"))["capture"])


def codes(checked: dict[str, Any]) -> set[str]:
    return {reason["code"] for each in checked["applications"] for reason in each["reasons"]}


def test_the_guide_leads_from_a_capture_to_a_verified_restore(site: Site) -> None:
    """The story of docs/vadp.md, every plain command of it: an application is lost, and its VMs come back."""
    application = machines.two_tier("shop", namespace="shop")
    site.deploy(application)
    before = site.saved("shop")
    site.ours("preflight", "-n", "shop")
    site.ours("capture", "-n", "shop", "--vadp-job", "nightly")
    assert len(site.ours("capture", "-n", "shop", "--vadp-job", "nightly", "-o", "name").split()) == len(
        application.vm_names
    )
    site.script("post-job.sh", "nightly", "4711", "shop")
    point = site.supervisor.back_up("shop")
    capture = site.ours("captures", "list", "--vadp-job", "nightly", "-o", "name").splitlines()[0]
    assert "4711" in site.ours("captures", "list", "-n", "shop")
    assert "VirtualMachineService shop/shop-web" in site.ours("captures", "show", "nightly")
    site.ours("captures", "verify", "nightly")
    site.ours("captures", "diff", "nightly")
    exported = [*yaml.safe_load_all(site.ours("captures", "export", capture, "-"))]
    assert {manifest["kind"] for manifest in exported} == {"VirtualMachineGroup", "VirtualMachineService"}
    assert "4711" in site.ours("coverage", "-n", "shop", "-o", "json")
    assert "shop" in site.ours("coverage", "-n", "shop")

    site.supervisor.lose("shop")
    assert "not registered yet" in site.ours("plan", "--from", "nightly")
    late, *first = application.vm_names
    site.register(point, *reversed(first), into="shop")
    stopped = site.ours("restore", "--from", "nightly", "--timeout", "5s", exits=[4])
    assert "repeat the command to go on" in stopped
    site.register(point, late, into="shop")
    assert capture in site.ours("match", "-n", "shop")
    site.ours("drill", "run", "--from", "nightly", exits=[1])  # without a vCenter, records cannot be looked at
    assert "nightly" in site.ours("drill", "list")
    assert "verified" in site.ours("restore", "--from", "match", "-n", "shop")

    assert site.saved("shop") == before
    newest = site.ours("report", "list", "nightly", "-o", "name").splitlines()[-1].partition("/")[2]
    report = document(site.ours("report", "nightly", "--started", newest, "-o", "json"))
    assert (report["outcome"], report["vadp_restore_point"]) == ("verified", "4711")
    site.ours("report", "list", "nightly")
    site.ours("report", "nightly", exits=[0, 2])  # of several runs one has to be named
    power_on(site, "shop")
    site.ours("verify", "nightly", "--timeout", "2m")
    assert set(plain_commands(ROOT / "docs" / "vadp.md")) - set(site.executed) == set()


def plain_commands(page: Path) -> Iterator[str]:
    """Yield our commands that a page tells a reader to type, those apart that a unit test runs with their output."""
    for line in page.read_text().splitlines():
        if line.startswith("velero-vmservice "):
            yield line


def power_on(site: Site, namespace: str) -> None:
    """Power on what is outermost, as a person does after a restore."""
    groups = site.cluster.all(GROUPS, namespace=namespace)
    for group in groups:
        if not group["spec"].get("groupName"):
            site.cluster.kubectl(
                "patch", GROUPS, group["metadata"]["name"], f"--namespace={namespace}", "--type=merge",
                '--patch={"spec":{"powerState":"PoweredOn"}}',
            )  # fmt: skip
