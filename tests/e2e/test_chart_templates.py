"""What the chart's values make of its templates; no cluster takes part."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.e2e.chart import CHART, NAME, NAMESPACE, TOKEN, VARIANTS, helm, rendered
from tests.e2e.processes import CommandFailedError
from tests.fakes.cluster import MemoryCluster
from velero_vmservice.adapters.velero.installation import PluginConfig
from velero_vmservice.doctor.rights import RIGHTS, Scope
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.settings import reading
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from velero_vmservice.settings.reading import Settings

Object = dict[str, Any]

BY_DEFAULT: Final = {
    ("ServiceAccount", NAME),
    ("Secret", TOKEN),
    ("ClusterRole", f"{NAME}-{NAMESPACE}"),
    ("ClusterRoleBinding", f"{NAME}-{NAMESPACE}"),
    ("Role", NAME),
    ("RoleBinding", NAME),
    ("Service", f"{NAME}-metrics"),
}
ROLES: Final = {(kind, name) for kind, name in BY_DEFAULT if "Role" in kind}
EVERYWHERE: Final = f"in {Scope.EVERYWHERE}"
SERVICE: Final = {("Service", f"{NAME}-metrics")}
CLUSTER_SCOPED: Final = {"ClusterRole", "ClusterRoleBinding"}
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.stem)


def identities(manifests: list[Object]) -> set[tuple[str, str]]:
    return {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}


def only(manifests: list[Object], kind: str) -> Object:
    (manifest,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return manifest


def rights(role: Object) -> set[str]:
    """Every right of a role, as `VERB RESOURCE.GROUP` with the name where it is for one object."""
    return {
        " ".join([verb, f"{resource}.{group}".removesuffix("."), *rule.get("resourceNames", ())])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted(*settings: str) -> set[str]:
    """All rights, those within Velero's namespace marked."""
    manifests = rendered(*(f"--set={setting}" for setting in settings))
    within = {f"{right} in {Scope.VELERO}" for right in rights(only(manifests, "Role"))}
    return rights(only(manifests, "ClusterRole")) | within


def settings_of(config_map: Object, directory: Path) -> Settings:
    """The settings as the plugin finds them in its namespace, with a Secret for each one that they name."""
    cluster = MemoryCluster()
    cluster.seed(Manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
    cluster.seed(Manifest(config_map))
    for name in ("vmservice-bucket", "vmservice-vcenter", "vmservice-engine"):
        data = dict.fromkeys(("ca.crt", "tls.crt", "tls.key", "password"), "c2VjcmV0")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
        cluster.seed(Manifest({**secret, "data": data}))
    return reading.checked(PluginConfig(cluster, NAMESPACE, directory=lambda: directory).read())


@every_variant
def test_each_variant_passes_the_strict_linter(variant: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, f"--values={variant}")


@every_variant
def test_every_object_has_its_labels_and_lies_in_the_namespace(variant: Path) -> None:
    manifests = rendered(f"--values={variant}")
    assert manifests
    assert len(identities(manifests)) == len(manifests)
    for manifest in manifests:
        metadata = manifest["metadata"]
        assert metadata["labels"]["app.kubernetes.io/name"] == NAME
        assert metadata["labels"]["app.kubernetes.io/instance"] == NAME
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert metadata.get("namespace") == (None if manifest["kind"] in CLUSTER_SCOPED else NAMESPACE)


def test_labels_of_one_s_own_are_on_every_object() -> None:
    manifests = rendered(values={"commonLabels": {"team": "backup"}, "settings": {"log_level": "debug"}})
    assert {manifest["metadata"]["labels"].get("team") for manifest in manifests} == {"backup"}


@pytest.mark.parametrize(
    ("values", "objects"),
    [
        ({}, BY_DEFAULT),
        ({"settings": {"log_level": "debug"}}, BY_DEFAULT | {("ConfigMap", NAME)}),
        ({"serviceAccount": {"token": False}}, BY_DEFAULT - {("Secret", TOKEN)}),
        ({"serviceAccount": {"create": False, "name": "velero"}}, ROLES | SERVICE),
        ({"metrics": {"service": {"enabled": False}}}, BY_DEFAULT - SERVICE),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, BY_DEFAULT | {("ServiceMonitor", NAME)}),
        ({"metrics": {"prometheusRule": {"enabled": True}}}, BY_DEFAULT | {("PrometheusRule", NAME)}),
        ({"metrics": {"dashboard": {"enabled": True}}}, BY_DEFAULT | {("ConfigMap", f"{NAME}-dashboard")}),
        ({"networkPolicy": {"enabled": True}}, BY_DEFAULT | {("NetworkPolicy", NAME)}),
        ({"rbac": {"create": False}}, BY_DEFAULT - ROLES),
        ({"schedules": {"nightly": {"namespaces": ["shop"]}}}, BY_DEFAULT | {("Schedule", "nightly")}),
        (
            {"fullnameOverride": "own", "settings": {"log_level": "debug"}, "schedules": {"s": {"namespaces": ["x"]}}},
            {(kind, name.replace(NAME, "own")) for kind, name in BY_DEFAULT}
            | {("ConfigMap", "own"), ("Schedule", "s")},
        ),
    ],
)
def test_each_switch_makes_its_objects_and_no_others(values: Object, objects: set[tuple[str, str]]) -> None:
    assert identities(rendered(values=values)) == objects


@pytest.mark.parametrize("account", [{"create": False, "name": "velero"}, {"name": "own"}, {}])
def test_rights_are_bound_to_the_chosen_account(account: Object) -> None:
    manifests = rendered(values={"serviceAccount": account})
    subject = {"kind": "ServiceAccount", "name": account.get("name", NAME), "namespace": NAMESPACE}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        assert only(manifests, kind)["subjects"] == [subject]
        assert (
            only(manifests, kind)["roleRef"]["name"]
            == only(manifests, kind.removesuffix("Binding"))["metadata"]["name"]
        )


@pytest.mark.parametrize(
    ("settings", "added", "taken"),
    [
        (
            ["rbac.bootstrapObjects=true"],
            {"list secrets", "list configmaps"},
            set(),
        ),
        (
            ["rbac.registerVm=true"],
            {"create configmaps in Velero's namespace", "patch configmaps in Velero's namespace"},
            {"patch configmaps velero-vsphere-plugin-blocked-resources-list in Velero's namespace"},
        ),
        (
            ["settings.registration.mode=trigger"],
            {"create configmaps in Velero's namespace", "patch configmaps in Velero's namespace"},
            {"patch configmaps velero-vsphere-plugin-blocked-resources-list in Velero's namespace"},
        ),
        (
            ["rbac.takeOver=false"],
            set(),
            {"patch configmaps velero-vsphere-plugin-blocked-resources-list in Velero's namespace"},
        ),
        (["rbac.power=false"], set(), {"patch virtualmachines.vmoperator.vmware.com"}),
        (
            ["rbac.secretNames={velero}"],
            {"get secrets velero in Velero's namespace"},
            {"get secrets in Velero's namespace"},
        ),
    ],
)
def test_each_right_that_is_optional_is_a_switch(settings: list[str], added: set[str], taken: set[str]) -> None:
    default, chosen = granted(), granted(*settings)
    assert (chosen - default, default - chosen) == (added, taken)


def test_the_chart_grants_what_the_product_says_that_it_uses_and_nothing_else() -> None:
    used = {
        " ".join(filter(None, [verb, right.kind.resource, right.name, f"in {right.scope}".replace(EVERYWHERE, "")]))
        for right in RIGHTS
        for verb in right.verbs
    }
    take_over = f"patch configmaps {BLOCKED_RESOURCES} in {Scope.VELERO}"
    everything = granted("rbac.bootstrapObjects=true", "rbac.registerVm=true")
    assert everything | {take_over} == used  # who may patch every ConfigMap may patch that one
    on_request = {f"list {plural}" for plural in ("secrets", "configmaps")}
    on_request |= {f"{verb} configmaps in {Scope.VELERO}" for verb in ("create", "patch")}
    assert granted() == used - on_request


def test_no_value_grants_more_than_to_look_to_create_and_to_patch() -> None:
    verbs = {right.partition(" ")[0] for right in granted("rbac.bootstrapObjects=true", "rbac.registerVm=true")}
    assert verbs == {"get", "list", "create", "patch"}
    by_default = granted()
    assert "list secrets" not in by_default
    assert not any("*" in right for right in by_default)
    assert {right for right in by_default if right.startswith(("create", "patch"))} == {
        "create virtualmachineservices.vmoperator.vmware.com",
        "create virtualmachinegroups.vmoperator.vmware.com",
        "patch virtualmachineservices.vmoperator.vmware.com",
        "patch virtualmachinegroups.vmoperator.vmware.com",
        "patch virtualmachines.vmoperator.vmware.com",
        "patch configmaps velero-vsphere-plugin-blocked-resources-list in Velero's namespace",
        "create events in Velero's namespace",
    }


def test_the_plugin_takes_every_setting_of_the_config_map(tmp_path: Path) -> None:
    variant = CHART / "ci" / "everything-values.yaml"
    dashboard = "--set=metrics.dashboard.enabled=false"  # the other ConfigMap
    settings = settings_of(only(rendered(f"--values={variant}", dashboard), "ConfigMap"), tmp_path)
    assert (settings.restore.power, settings.restore.probe, settings.restricted.supervisor) == ("on", "off", "yes")
    assert settings.registration.mode == "trigger"
    assert settings.vcenter is not None
    assert settings.vcenter.read_password() == "secret"
    written = set(yaml.safe_load(variant.read_text())["settings"])
    assert written == settings.model_fields_set


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kubernetes_timeout_seconds", 2.5),
        ("s3_timeout_seconds", 30.0),
        ("bucket.path_style", True),
        ("bucket.insecure_skip_tls_verify", False),
        ("restore.power", "on"),
        ("restore.probe", "off"),
        ("restricted.supervisor", "yes"),
    ],
)
@pytest.mark.parametrize("option", ["--set", "--set-string"])
def test_a_number_and_a_boolean_may_be_text(tmp_path: Path, option: str, setting: str, value: object) -> None:
    written = {"on": "true", "yes": "true", "off": "false", True: "true", False: "false"}.get(value, value)
    options = ["--set-string=settings.bucket.name=captures", f"{option}=settings.{setting}={written}"]
    settings = settings_of(only(rendered(*options), "ConfigMap"), tmp_path)
    assert functools.reduce(getattr, setting.split("."), settings) == value


NAMES: Final = {
    "fullnameOverride": "123",
    "serviceAccount": {"name": "yes"},
    "commonLabels": {"team": "123"},
    "schedules": {"123": {"namespaces": ["1"], "storageLocation": "1"}},
    "settings": {"log_level": "debug"},
    "networkPolicy": {"enabled": True},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}


def test_a_name_that_looks_like_a_number_or_a_boolean_stays_a_name() -> None:
    manifests = rendered(values=NAMES)
    for manifest in manifests:
        metadata = manifest["metadata"]
        texts = [metadata["name"], *metadata["labels"].values(), *metadata.get("annotations", {}).values()]
        assert [text for text in texts if not isinstance(text, str)] == [], manifest["kind"]
    assert only(manifests, "RoleBinding")["roleRef"]["name"] == "123"
    assert only(manifests, "RoleBinding")["subjects"][0]["name"] == "yes"
    schedule = only(manifests, "Schedule")
    assert (schedule["metadata"]["name"], schedule["spec"]["template"]["storageLocation"]) == ("123", "1")


@pytest.mark.parametrize("label", ["app.kubernetes.io/name", "helm.sh/chart", "velero.io/plugin-config"])
@pytest.mark.parametrize("where", ["commonLabels", "metrics.dashboard.labels", "metrics.serviceMonitor.labels"])
def test_a_label_of_the_chart_s_own_cannot_be_set(where: str, label: str) -> None:
    escaped = label.replace(".", "\\.")
    with pytest.raises(CommandFailedError, match=r"values don't meet the specifications of the schema"):
        rendered(f"--set-string={where}.{escaped}=own")


def test_a_label_of_one_object_comes_before_that_of_all_and_stands_once() -> None:
    monitor = {"enabled": True, "labels": {"team": "monitoring"}}
    text = helm(
        "template",
        NAME,
        CHART,
        "--set=commonLabels.team=backup",
        f"--set-json=metrics.serviceMonitor={json.dumps(monitor)}",
    )
    (written,) = [part for part in text.split("\n---\n") if "kind: ServiceMonitor" in part]
    assert [line.strip() for line in written.splitlines() if "team:" in line] == ["team: monitoring"]


@pytest.mark.parametrize(
    "option",
    [
        "settings",
        "schedules",
        "commonLabels",
        "fullnameOverride",
        "serviceAccount.annotations",
        "rbac.secretNames",
        "networkPolicy.ports",
        "networkPolicy.from",
        "networkPolicy.egress",
        "metrics.service.annotations",
        "metrics.serviceMonitor.labels",
        "metrics.prometheusRule.labels",
    ],
)
def test_null_takes_a_value_away(option: str) -> None:
    variant = CHART / "ci" / "everything-values.yaml"
    assert identities(rendered(f"--values={variant}", "--set=networkPolicy.enabled=true", f"--set={option}=null"))


@pytest.mark.parametrize(
    "option",
    [
        "velero",
        "velero.podLabels",
        "serviceAccount",
        "rbac",
        "metrics",
        "metrics.port",
        "metrics.service",
        "networkPolicy",
    ],
)
def test_what_the_chart_cannot_do_without_cannot_be_taken_away(option: str) -> None:
    missing = option.rpartition(".")[2]
    with pytest.raises(CommandFailedError, match=rf"missing property '{missing}'"):
        rendered(f"--set={option}=null")


def test_a_schedule_leaves_its_backups_and_comes_daily() -> None:
    values = {"schedules": {"nightly": {"namespaces": ["shop", "bank"]}}}
    spec = only(rendered(values=values), "Schedule")["spec"]
    assert spec == {
        "schedule": "0 2 * * *",
        "paused": False,
        "useOwnerReferencesInBackup": False,
        "template": {"includedNamespaces": ["shop", "bank"], "ttl": "720h"},
    }


def test_monitoring_finds_the_plugin_in_the_pod_of_velero() -> None:
    variant = CHART / "ci" / "everything-values.yaml"
    manifests = rendered(f"--values={variant}", "--set=metrics.port=9100")
    service, monitor = only(manifests, "Service"), only(manifests, "ServiceMonitor")
    assert service["spec"]["selector"] == {"app.kubernetes.io/name": "velero", "name": "velero"}
    assert [(port["name"], port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [
        ("metrics", 9100, 9100)
    ]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] == ["metrics"]
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_alerts_lead_to_the_runbook_where_it_can_be_read() -> None:
    rule = {"enabled": True, "documents": "https://git.example.com/plugin/"}
    groups = only(rendered(values={"metrics": {"prometheusRule": rule}}), "PrometheusRule")["spec"]["groups"]
    links = {alert["annotations"]["runbook_url"] for group in groups for alert in group["rules"]}
    assert links
    assert all(link.startswith("https://git.example.com/plugin/docs/runbook.md#") for link in links)


def test_alerts_and_dashboard_are_the_chart_s_files_as_they_are() -> None:
    manifests = rendered(f"--values={CHART / 'ci' / 'everything-values.yaml'}")
    rules = only(manifests, "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    (dashboard,) = [manifest for manifest in manifests if manifest["metadata"]["name"] == f"{NAME}-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = dashboard["data"].values()
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("policy", "types", "ingress"),
    [
        ({}, ["Ingress"], [{"ports": [{"port": 8086, "protocol": "TCP"}, {"port": 8085, "protocol": "TCP"}]}]),
        (
            {"ports": [], "from": [{"podSelector": {}}], "egress": [{}]},
            ["Ingress", "Egress"],
            [{"ports": [{"port": 8086, "protocol": "TCP"}], "from": [{"podSelector": {}}]}],
        ),
    ],
)
def test_network_policy_opens_the_ports_of_metrics_alone(
    policy: Object, types: list[str], ingress: list[Object]
) -> None:
    spec = only(rendered(values={"networkPolicy": {"enabled": True, **policy}}), "NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "velero", "name": "velero"}
    assert (spec["policyTypes"], spec["ingress"], spec.get("egress", [])) == (types, ingress, policy.get("egress", []))


def test_service_monitor_needs_the_service() -> None:
    values = {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}}
    with pytest.raises(CommandFailedError, match=r"metrics\.serviceMonitor\.enabled needs metrics\.service\.enabled"):
        rendered(values=values)


@pytest.mark.parametrize(
    "values",
    [
        {"setings": {}},
        {"metrics": {"port": 0}},
        {"metrics": {"serviceMonitor": {"interval": "often"}}},
        {"rbac": {"registerVM": True}},
        {"rbac": {"secretNames": "velero"}},
        {"serviceAccount": {"create": False}},
        {"schedules": {"nightly": {}}},
        {"schedules": {"nightly": {"namespaces": []}}},
        {"schedules": {"nightly": {"namespaces": ["shop"], "template": {"ttl": "1h"}}}},
        {"schedules": {"Not a name": {"namespaces": ["shop"]}}},
        {"settings": {"restore": {"conflct": "fail"}}},
        {"settings": {"restore": {"conflict": "failing"}}},
        {"settings": {"kubernetes_timeout_seconds": 0}},
        {"settings": {"drain_seconds": 10}},
        {"settings": {"velero_namespace": "velero"}},
        {"settings": {"vcenter": {"server": "vc", "user": "velero", "password": "s3cret"}}},
        {"settings": {"vcenter": {"server": "vc", "user": "velero"}}},
    ],
)
def test_a_wrong_value_does_not_install(values: Object) -> None:
    with pytest.raises(CommandFailedError, match=r"values don't meet the specifications of the schema"):
        rendered(values=values)
