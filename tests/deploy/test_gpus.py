"""GPUs on one machine: every preset gives each holder devices of its own, and a model server starts under its user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.gpus.__main__ import main
from deploy.gpus.plan import HOLDERS, JOBS, PRESETS, mistakes, read
from tests.deploy.manifests import ROOT, containers

FILES = ("docker-compose.gpu.yml", "docker-compose.gpu-retriever.yml")


def gpu_services() -> dict[str, dict[str, Any]]:
    """Services of the GPU files."""
    return {
        name: service
        for file in FILES
        for name, service in yaml.safe_load((ROOT / file).read_text())["services"].items()
    }


def reserved(service: dict[str, Any]) -> dict[str, Any] | None:
    devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
    return dict(devices[0]) if devices else None


@pytest.mark.parametrize("gpus", sorted(PRESETS))
def test_a_preset_is_written_into_the_file_and_collides_nowhere(gpus: int, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    shutil.copy(ROOT / ".env.example", file)
    assert main([str(gpus), "--file", str(file)]) == 0
    written = read(file.read_text())
    assert read(PRESETS[gpus].read_text()).items() <= written.items()
    assert set(read((ROOT / ".env.example").read_text())) <= set(written)
    held = [d for key in (*HOLDERS, JOBS) for d in written[key].split(",") if d]
    assert sorted(held) == [str(n) for n in range(gpus)], "every GPU is held once, and none that is not there"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"GPU_IDS_STUDENT": "3"}, "GPU 3 is held by GPU_IDS_TEACHER as well"),
        ({"GPU_IDS_JOBS": "4,6"}, "GPU 4 is held by GPU_IDS_RETRIEVER as well"),
        ({"GPU_IDS_JOBS": "6,6"}, "GPU 6 is held by GPU_IDS_JOBS as well"),
        ({"GPU_COUNT_TEACHER": "8"}, "GPU_COUNT_TEACHER is '8', allowed: 4"),
        ({"GPU_IDS_JOBS": ""}, "GPU_IDS_JOBS is empty"),
        ({"GPU_IDS_RETRIEVER": " "}, "GPU_IDS_RETRIEVER is empty"),
    ],
)
def test_a_plan_in_which_two_hold_one_device_is_refused(changes: dict[str, str], message: str) -> None:
    plan = read(PRESETS[8].read_text())
    assert mistakes(plan) == []
    assert any(message in line for line in mistakes(plan | changes))


def test_a_service_that_is_not_started_holds_nothing() -> None:
    plan = read(PRESETS[8].read_text()) | {"COMPOSE_PROFILES": "teacher", "GPU_IDS_STUDENT": "0"}
    assert mistakes(plan) == []


def test_every_gpu_service_takes_the_devices_that_the_plan_gives_it() -> None:
    """No ``count``: it reserves nothing, so that every container would begin at GPU 0."""
    found = {name: device for name, service in gpu_services().items() if (device := reserved(service))}
    ids = {name: re.findall(r"GPU_IDS_[A-Z]+", str(device.get("device_ids"))) for name, device in found.items()}
    assert ids.pop("dcgm-exporter") == [] and found["dcgm-exporter"]["count"] == "all"  # looks at all, holds none
    assert ids == {
        "model": ["GPU_IDS_TEACHER"], "student": ["GPU_IDS_STUDENT"], "retriever": ["GPU_IDS_RETRIEVER"],
        "trainer-worker": [JOBS], "evaluator-worker": [JOBS],
    }  # fmt: skip
    for worker in ("teacher-worker", "trainer-worker", "evaluator-worker"):
        assert "GPU_COUNT_JOBS" in gpu_services()[worker]["environment"]["MENTOR_JOBS_GPUS"]


@pytest.mark.parametrize("gpus", sorted(PRESETS))
def test_compose_reads_the_files_of_a_preset(gpus: int, tmp_path: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    file = tmp_path / ".env"
    shutil.copy(ROOT / ".env.example", file)
    assert main([str(gpus), "--file", str(file)]) == 0
    plan = read(file.read_text())
    options = [part for name in plan["COMPOSE_FILE"].split(":") for part in ("-f", str(ROOT / name))]
    command = [compose, "--project-directory", str(ROOT), "--env-file", str(file), *options, "config"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"MENTOR_MODELS": "/models"})
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    if plan["GPU_IDS_TEACHER"]:
        device = reserved(services["model"])
        assert device is not None and device["device_ids"] == [plan["GPU_IDS_TEACHER"]]
    assert services["trainer-worker"]["environment"]["MENTOR_JOBS_GPUS"] == plan["GPU_COUNT_JOBS"]
    assert (reserved(services["retriever"]) is not None) == bool(plan["GPU_IDS_RETRIEVER"])


# What torch 2.11, which the engines' images carry, asks when it is imported (later releases make do without a name).
WHO_AM_I = "import getpass, os, pwd; os.setuid(54321); print(getpass.getuser())"


def engine_environments() -> dict[str, dict[str, str]]:
    """What model servers are started with: by Compose and by Kubernetes."""
    compose = {name: gpu_services()[name]["environment"] for name in ("model", "student")}
    pods = {
        where: {e["name"]: str(e.get("value", "")) for e in container["env"]}
        for where, _, container in containers("overlays/gpu")
        if container["image"].startswith("vllm")
    }
    assert len(pods) == 2
    return compose | pods


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a user id that has no name")
def test_a_model_server_starts_under_a_user_id_that_its_image_does_not_know() -> None:
    """torch asks for the user's name at import: without one and without USER the server dies before it says anything."""

    def asked(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WHO_AM_I]
        return subprocess.run(command, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True)

    bare = asked({"HOME": "/tmp"})
    assert bare.returncode != 0 and "uid not found" in bare.stderr
    done = asked(engine_environments()["model"])
    assert done.returncode == 0 and "vllm" in done.stdout, done.stderr


def test_model_servers_run_as_the_user_that_their_image_knows() -> None:
    for where, environment in engine_environments().items():
        assert environment["USER"] == environment["LOGNAME"] == "vllm", where
        caches = ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")
        assert all(environment[name].startswith("/tmp/") for name in caches), where
    assert {gpu_services()[name]["user"] for name in ("model", "student")} == {"2000"}
    for where, pod, container in containers("overlays/gpu"):
        if container["image"].startswith("vllm"):
            assert pod["securityContext"]["runAsUser"] == 2000, where
