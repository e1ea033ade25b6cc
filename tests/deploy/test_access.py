"""Keys and lists in both deployments: every container holds what it needs and no more, and specs reach the same everywhere."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentor.reach import ReachSettings
from mentor.reach.settings import variable
from mentor.rpc.principal import Role
from mentor.serving.access.keys import KeyAuthenticator, read_keys
from tests.deploy.manifests import ROOT, containers, of_kind

KEYS = {"worker_key", "search_key", "submit_key", "access_keys", "api_key"}
HELD = {
    **{key: {"access_keys"} for key in ("teacher", "trainer", "evaluator", "retriever", "console")},
    **{key: {"worker_key"} for key in ("teacher-worker", "trainer-worker", "evaluator-worker")},
    "sandbox": {"access_keys", "search_key"},
}
LISTS = {variable(name) for name in ReachSettings.model_fields}
JOBS = {"teacher", "trainer", "evaluator", "teacher-worker", "trainer-worker", "evaluator-worker"}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return loaded


def default(value: str) -> str:
    """What ``${NAME-default}`` is where the variable is not set."""
    return re.sub(r"\$\{[A-Z_]+-([^}]*)\}", r"\1", value)


def test_every_container_holds_the_keys_that_it_needs_and_no_operators_key() -> None:
    held = {name: set(service.get("secrets", ())) & KEYS for name, service in compose().items()}
    assert {name: keys for name, keys in held.items() if keys} == HELD
    for name, keys in HELD.items():
        named = {Path(v).name for k, v in compose()[name]["environment"].items() if re.search(r"_KEYS?_FILE$", k)}
        assert named == keys, name


@pytest.mark.parametrize("overlay", ["overlays/cpu", "overlays/gpu", "overlays/gpu-multinode", "jobs/evaluate"])
def test_every_pod_holds_the_keys_that_it_needs_and_no_operators_key(overlay: str) -> None:
    expected = HELD | {"ray-head": {"worker_key"}, "ray-worker": {"worker_key"}, "evaluate": {"submit_key"}}
    for where, spec, container in containers(overlay):
        volumes = [v["secret"] for v in spec.get("volumes", []) if "secret" in v]
        assert all("items" in secret for secret in volumes), f"{where} mounts a whole secret"
        held = {item["key"] for secret in volumes for item in secret["items"]} & KEYS
        named = {Path(e["value"]).name for e in container.get("env", []) if re.search(r"_KEYS?_FILE$", e["name"])}
        assert held == named == expected.get(container["name"], set()), where


def test_specs_reach_the_same_in_compose_and_on_a_cluster() -> None:
    services = compose()
    shown = {name: {k: default(v) for k, v in services[name]["environment"].items() if k in LISTS} for name in JOBS}
    lists = shown["teacher"]
    assert set(lists) == LISTS
    assert all(found == lists for found in shown.values())
    (reach,) = [d for d in of_kind("overlays/cpu", "ConfigMap") if d["metadata"]["name"].startswith("reach-")]
    assert reach["data"] == lists
    example = dict(re.findall(r"^(MENTOR_ALLOW_[A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    assert example == lists


@pytest.mark.parametrize("overlay", ["overlays/cpu", "overlays/gpu", "overlays/gpu-multinode"])
def test_services_and_workers_on_a_cluster_have_the_lists(overlay: str) -> None:
    having = set()
    for _, _, container in containers(overlay):
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"].startswith("reach-")
            having.add(container["name"])
    assert having == JOBS


def test_lists_are_closed_to_everything_that_is_not_the_deployments_own() -> None:
    lists = {k: default(v) for k, v in compose()["teacher"]["environment"].items() if k in LISTS}
    assert not any(entry.strip() == "*" for value in lists.values() for entry in value.split(","))
    assert lists[variable("service_hosts")] == lists[variable("ray_hosts")] == ""
    assert lists[variable("path_roots")] == "/models"


def test_the_script_makes_keys_with_the_roles_of_their_holders_and_keeps_lines_of_others(tmp_path: Path) -> None:
    def make() -> None:
        subprocess.run(["bash", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path)], check=True, capture_output=True)

    def roles(name: str) -> set[Role]:
        found = asyncio.run(KeyAuthenticator(read_keys(access)).principal((tmp_path / name).read_text()))
        assert found is not None, name
        return set(found.roles)

    access = tmp_path / "access_keys"
    make()
    expected = {"api_key": {Role.OPERATE}, "worker_key": {Role.RUN, Role.SEARCH}, "search_key": {Role.SEARCH}}
    expected["submit_key"] = {Role.SUBMIT}
    assert {name: roles(name) for name in expected} == expected
    first = access.read_text()
    make()
    assert access.read_text() == first
    with access.open("a") as file:
        file.write("alice: {key: alices-own-key-0123456, roles: [submit]}\n")
    (tmp_path / "worker_key").unlink()
    make()
    assert roles("worker_key") == expected["worker_key"]
    assert len(read_keys(access)) == 5 and "alice" in access.read_text()
    for name in ("api_key", "worker_key", "search_key", "submit_key"):
        assert (tmp_path / name).read_text() not in access.read_text()
