"""Dockerfiles and locks: linted, non-root, complete; a new service must bring its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mentor.local.layout import SERVICES
from tests.deploy.manifests import ROOT

DOCKERFILES = [*sorted((ROOT / "services").glob("*/Dockerfile")), ROOT / "deploy" / "smoke" / "Dockerfile"]


def test_every_service_has_its_image_and_both_locks() -> None:
    for service in SERVICES:
        folder = ROOT / "services" / service
        for name in ("Dockerfile", "requirements.lock", "requirements.gpu.lock"):
            assert (folder / name).is_file(), f"{service} has no {name}"
    assert {path.parent.name for path in DOCKERFILES} == {*SERVICES, "smoke"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_has_no_complaint(path: Path) -> None:
    done = subprocess.run(["hadolint", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_both_targets_run_as_a_user_with_a_health_check_and_labels(service: str) -> None:
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    stages = {m[1]: m[0] for m in re.findall(r"(FROM \S+ AS (\S+)(?:.|\n)*?)(?=\nFROM |\Z)", text) for m in [m]}
    for target in ("cpu", "gpu"):
        body = stages[target]
        assert "USER 10001:10001" in body
        assert "HEALTHCHECK" in body
        assert "org.opencontainers.image.revision" in body
        rest, rpc = SERVICES[service]
        assert f"EXPOSE {rest} {rpc}" in body
    assert text.count("ARG BASE_IMAGE=") == text.count("ARG GPU_BASE_IMAGE=") == 1
    assert "ARG ENGINE_PACKAGES=" in text
    assert not re.search(r"^FROM (?!\$\{)", text, re.M), "every base is an argument"


@pytest.mark.parametrize("service", SERVICES)
def test_cpu_locks_have_no_cuda_and_every_line_is_pinned(service: str) -> None:
    lines = (ROOT / "services" / service / "requirements.lock").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith(("#", " "))]
    assert names
    assert [line for line in names if "==" not in line] == []
    assert [line for line in names if re.match(r"(nvidia|cuda|triton|cupy)", line)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_engine_packages_can_be_left_out_of_the_gpu_lock(service: str) -> None:
    patterns = [p for p in (ROOT / "deploy/images/engine-packages.txt").read_text().splitlines() if p]
    lines = (ROOT / "services" / service / "requirements.gpu.lock").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith(("#", " "))]
    left = [line for line in names if not any(re.match(p, line) for p in patterns)]
    assert not any(line.startswith(("torch==", "vllm==", "nvidia-", "faiss-gpu")) for line in left)
    if service in ("retriever", "trainer", "evaluator", "teacher"):
        assert len(left) < len(names)
    assert any(line.startswith("fastapi==") for line in left)
