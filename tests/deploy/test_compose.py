"""Compose: both files fit the specification, and every service is confined and limited."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import ROOT

# What may be written as root or with a capability, and why, stands beside it in the file.
UNCONFINED = {"dcgm-exporter"}
PUBLISHED = re.compile(r"^\$\{MENTOR_PUBLISH:-127\.0\.0\.1\}:")


def services(file: str = "docker-compose.yml") -> dict[str, Any]:
    """Services, anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["services"]
    return loaded


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.gpu.yml", "docker-compose.gpu-retriever.yml"])
def test_the_file_fits_the_compose_specification(file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(services()))
def test_every_container_is_confined_and_limited(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["init"] is True
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "pids_limit", "cpus"} <= service.keys()
    assert not {"privileged", "cap_add", "pid", "ipc"} & service.keys()
    assert service.get("network_mode") is None
    for port in service.get("ports", []):
        assert PUBLISHED.match(port), f"{port} is open to the network"
    for volume in service.get("volumes", []):
        assert "docker.sock" not in volume


def test_only_the_listed_gpu_services_have_more() -> None:
    more = {name for name, service in services("docker-compose.gpu.yml").items() if "cap_add" in service}
    assert more == UNCONFINED


def test_the_sandbox_has_no_way_out_and_a_filter_of_its_own() -> None:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    sandbox = loaded["services"]["sandbox"]
    assert sandbox["networks"] == ["tools"]
    assert loaded["networks"]["tools"] == {"internal": True}
    assert "ports" not in sandbox
    assert "seccomp=./deploy/seccomp/sandbox.json" in sandbox["security_opt"]
    profile = json.loads((ROOT / "deploy" / "seccomp" / "sandbox.json").read_text())
    allowed = {n for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for n in rule["names"]}
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    refused = {"ptrace", "process_vm_readv", "process_vm_writev", "io_uring_setup", "keyctl", "bpf", "mount", "unshare",
               "setns", "perf_event_open", "userfaultfd", "kexec_load", "init_module", "pivot_root"}  # fmt: skip
    assert not refused & allowed
    assert {"landlock_create_ruleset", "seccomp", "prctl"} <= allowed


def test_the_retriever_is_administered_on_a_port_that_tools_cannot_reach() -> None:
    loaded = services()
    admin = loaded["retriever"]["environment"]["MENTOR_RETRIEVER_ADMIN_PORT"]
    url = loaded["sandbox"]["environment"]["MENTOR_SANDBOX_SEARCH_URL"]
    assert url == "http://retriever:8081"
    assert admin not in url
    assert any(port.endswith(f":{admin}") for port in loaded["retriever"]["ports"])
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert [f"retriever:{admin}"] in [entry["targets"] for entry in scraped["static_configs"]]


def test_workers_get_the_time_that_their_jobs_may_take_to_save_themselves() -> None:
    for name, service in services().items():
        if name.endswith("-worker"):
            assert int(service["stop_grace_period"].removesuffix("s")) > 120


def test_secrets_are_files_and_never_values() -> None:
    for name, service in services().items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|API_KEY|SECRET", variable):
                assert variable.endswith("_FILE") and str(value).startswith("/run/secrets/"), f"{name}: {variable}"


def test_every_variable_of_the_files_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    known = set(re.findall(r"^([A-Z][A-Z0-9_]*)=", example, re.M))
    text = "".join(path.read_text() for path in ROOT.glob("docker-compose*.yml"))
    assert set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", text)) - known == set()
