"""Kubernetes: every overlay builds, every document fits its schema, and the house rules hold."""

from __future__ import annotations

import copy
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from deploy import dashboards
from deploy import manifests as generated
from deploy.dashboards import __main__ as board_files
from mentor.errors import UserError
from mentor_trainer.config import make_spec
from mentor_trainer.preflight import check_spec
from tests.deploy.manifests import OVERLAYS, ROOT, build, containers, custom_schemas, name, of_kind, pods
from tests.support.training import spec_values, write_set

KUBERNETES = "1.32"
OURS = ("overlays/cpu", "overlays/gpu", "overlays/gpu-multinode", "overlays/gpu-outside")
GPU = "nvidia.com/gpu"
SIGTERM_BUDGET_S = 120
RUNS_ONCE = re.compile(r": Job/|RayJob/\S+ submitter")
WORKERS = ("teacher-worker", "trainer-worker", "evaluator-worker")


def schema_errors(document: dict[str, Any]) -> list[str]:
    """What is wrong with a document; an unknown kind is."""
    custom = custom_schemas()
    if document["kind"] in custom:
        validator = jsonschema.Draft202012Validator(custom[document["kind"]])
        return [f"{name(document)}: {'.'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(document)]
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"{name(document)}: {str(error)[:300]}"]
    return []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_fits_its_schema_strictly(overlay: str) -> None:
    assert [error for document in build(overlay) for error in schema_errors(document)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_templates_inside_custom_resources_fit_kubernetes_own_schema(overlay: str) -> None:
    for where, template in pods(overlay):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x", **template["metadata"]},
            "spec": template["spec"],
        }
        assert schema_errors(pod) == [], where


def test_the_schema_check_can_fail() -> None:
    service = copy.deepcopy(of_kind("overlays/cpu", "Service")[0])
    service["spec"]["prots"] = []
    assert schema_errors(service)
    assert schema_errors({"apiVersion": "example.org/v1", "kind": "Unknown", "metadata": {"name": "x"}})
    monitor = copy.deepcopy(of_kind("overlays/cpu", "ServiceMonitor")[0])
    monitor["spec"]["endpoints"][0]["intervall"] = "5s"
    assert schema_errors(monitor)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_match_the_labels_of_their_pods(overlay: str) -> None:
    labels = {where: template["metadata"]["labels"] for where, template in pods(overlay)}
    for document in of_kind(overlay, "Deployment", "StatefulSet", "DaemonSet"):
        wanted = document["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= labels[name(document)].items(), name(document)
    selecting = [(d, d["spec"]["selector"]) for d in of_kind(overlay, "Service")]
    selecting += [
        (d, d["spec"]["selector"]["matchLabels"]) for d in of_kind(overlay, "PodDisruptionBudget", "PodMonitor")
    ]
    selecting += [(d, d["spec"]["podSelector"].get("matchLabels", {})) for d in of_kind(overlay, "NetworkPolicy")]
    for document, wanted in selecting:
        assert any(wanted.items() <= have.items() for have in labels.values()), f"{name(document)} selects nothing"


@pytest.mark.parametrize("overlay", OURS)
def test_peers_of_network_policies_exist(overlay: str) -> None:
    labels = [template["metadata"]["labels"] for _, template in pods(overlay)]
    unknown = {"ray"} if overlay != "overlays/gpu-multinode" else set()
    for policy in of_kind(overlay, "NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]
        for peer in [p for rule in rules for p in [*rule.get("from", []), *rule.get("to", [])]]:
            wanted = peer.get("podSelector", {}).get("matchLabels", {})
            if "namespaceSelector" in peer or wanted.get("app.kubernetes.io/name") in unknown:
                continue
            assert any(wanted.items() <= have.items() for have in labels), f"{name(policy)}: no pod is {wanted}"


@pytest.mark.parametrize("overlay", OURS)
def test_every_service_has_a_network_policy_that_opens_its_ports_and_no_others(overlay: str) -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in of_kind(overlay, "NetworkPolicy")}
    for service in of_kind(overlay, "Service"):
        own = policies.get(service["metadata"]["name"])
        assert own is not None, f"{name(service)} has no policy"
        assert set(own["policyTypes"]) == {"Ingress", "Egress"}
        opened = {port["port"] for rule in own["ingress"] for port in rule["ports"]}
        offered = {port["port"] for port in service["spec"]["ports"] if port["name"] != "admin"}
        assert opened == offered, f"{name(service)}: opened {opened}, offered {offered}"
        assert all(rule.get("from") for rule in own["ingress"]), f"{name(service)} is open to everybody"
    assert policies["default-deny"]["podSelector"] == {}


@pytest.mark.parametrize("overlay", OURS)
def test_the_sandbox_reaches_the_retriever_and_nothing_else(overlay: str) -> None:
    (policy,) = [d["spec"] for d in of_kind(overlay, "NetworkPolicy") if d["metadata"]["name"] == "sandbox"]
    reached = [
        p["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for rule in policy["egress"] for p in rule["to"]
    ]
    assert reached == ["retriever"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_gpus_are_whole_and_requests_equal_limits(overlay: str) -> None:
    for where, spec, container in containers(overlay):
        resources = container["resources"]
        asked, most = resources["requests"].get(GPU), resources["limits"].get(GPU)
        assert asked == most, where
        assert (
            resources["requests"]["memory"] == resources["limits"]["memory"]
            or overlay == "device-plugin"
            or asked is None
        )
        if asked is not None:
            assert re.fullmatch(r"[1-9][0-9]*", str(asked)), f"{where}: {asked} GPUs"
            assert spec["nodeSelector"], where
            assert any(t["key"] == GPU for t in spec["tolerations"]), where


@pytest.mark.parametrize("overlay", [*OURS, "jobs/evaluate"])
def test_every_container_is_confined_limited_and_probed(overlay: str) -> None:
    for where, spec, container in containers(overlay):
        own, pod = container["securityContext"], spec["securityContext"]
        assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0, where
        assert pod["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"), where
        assert own["readOnlyRootFilesystem"] is True, where
        assert own["allowPrivilegeEscalation"] is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert "privileged" not in own, where
        assert spec["automountServiceAccountToken"] is False, where
        assert spec["enableServiceLinks"] is False, where
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), where
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), where
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys() or RUNS_ONCE.search(where), where
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        claims = {"data"} if "StatefulSet" in where else set()
        assert mounted <= {volume["name"] for volume in spec.get("volumes", [])} | claims, where
        assert not re.search(r":latest$|^[^:]+$", container["image"]), f"{where}: {container['image']} is not pinned"


def test_node_agents_are_the_only_ones_with_host_access_and_live_apart() -> None:
    for document in build("device-plugin"):
        if document["kind"] not in ("Namespace", "PriorityClass"):
            assert document["metadata"]["namespace"] == "nvidia-device-plugin", name(document)
    assert {name(d) for d in of_kind("device-plugin", "DaemonSet")} == {
        "DaemonSet/nvidia-device-plugin",
        "DaemonSet/dcgm-exporter",
    }


@pytest.mark.parametrize("overlay", OURS)
def test_the_grace_covers_what_a_job_may_take_to_save_itself(overlay: str) -> None:
    graces = {where: template["spec"]["terminationGracePeriodSeconds"] for where, template in pods(overlay)
              if not re.search("exporter|flower|submitter", where)}  # fmt: skip
    for worker in WORKERS:
        assert graces[f"Deployment/{worker}"] > SIGTERM_BUDGET_S
    for where, grace in graces.items():
        assert grace >= 40, where


@pytest.mark.parametrize("overlay", OURS)
def test_services_and_workers_have_disruption_budgets(overlay: str) -> None:
    budgets = {d["metadata"]["name"] for d in of_kind(overlay, "PodDisruptionBudget")}
    assert {"redis", "sandbox", "retriever", "teacher", "trainer", "evaluator", "console", *WORKERS} <= budgets


def test_workers_scale_on_queued_plus_running_jobs() -> None:
    queries = {
        d["metadata"]["name"]: d["spec"]["triggers"][0]["metadata"]["query"]
        for d in of_kind("overlays/gpu", "ScaledObject")
    }
    assert set(queries) == set(WORKERS)
    assert all("mentor:jobs:waiting_or_running{" in query for query in queries.values())


def test_a_ray_jobs_head_without_gpus_submits_to_its_own_cluster(tmp_path: Path) -> None:
    """What RayJob runs on the head passes the preflight there, and would not if it trained where it runs."""
    (job,) = of_kind("overlays/gpu-multinode", "RayJob")
    options = shlex.split(job["spec"]["entrypoint"])
    given = dict(part.split("=", 1) for flag, part in pairwise(options) if flag == "--set")
    write_set(tmp_path)
    values = spec_values(tmp_path, device="cuda") | {"n_gpus_per_node": 8, "nnodes": int(given["nnodes"])}
    assert check_spec(make_spec(values | {"ray_address": given["ray_address"]})).total_steps == 2
    with pytest.raises(UserError, match="n_gpus_per_node"):
        check_spec(make_spec(values))


def test_the_submitter_and_the_operator_reach_the_head_and_nobody_else_new() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in of_kind("overlays/gpu-multinode", "NetworkPolicy")}
    peers = [p["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for p in policies["ray"]["ingress"][1]["from"]]
    assert peers == ["trainer", "trainer-worker", "ray-submitter", "kuberay-operator"]
    assert {"protocol": "TCP", "port": 8265} in policies["ray"]["ingress"][1]["ports"]
    assert policies["ray-submitter"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 8265}]


def test_scale_targets_exist() -> None:
    for overlay in OURS:
        known = {d["metadata"]["name"] for d in of_kind(overlay, "Deployment")}
        for document in of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject"):
            assert document["spec"]["scaleTargetRef"]["name"] in known, name(document)


@pytest.mark.parametrize("overlay", OURS)
def test_secrets_and_config_maps_that_pods_mount_are_made_or_documented(overlay: str) -> None:
    made = {d["metadata"]["name"] for d in of_kind(overlay, "ConfigMap")}
    documented = (ROOT / "k8s" / "README.md").read_text()
    for where, template in pods(overlay):
        for volume in template["spec"].get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in made, where
            if "secret" in volume:
                assert f"create secret generic {volume['secret']['secretName']}" in documented, where


def test_generated_files_are_current() -> None:
    stale = [path.name for path, text in generated.rendered().items() if path.read_text() != text]
    written = {path.name: path.read_text() for path in board_files.FOLDER.glob("*.json")}
    assert stale == []
    assert written == board_files.rendered(), "run `make dashboards`"
    assert dashboards.__doc__
