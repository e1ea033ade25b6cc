"""Images and locks: one recipe, linted and non-root, with facts beside each service that hold wherever they are named."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mentor.local.layout import SERVICES
from tests.deploy.images import (
    IMAGE,
    RECIPE,
    Facts,
    all_facts,
    compose_config,
    defaults,
    disagreements,
    facts,
    mistakes,
    rendered,
    stages,
)
from tests.deploy.manifests import ROOT

DOCKERFILES = [RECIPE, ROOT / "deploy" / "smoke" / "Dockerfile"]
COMPOSE = ("docker-compose.yml", "docker-compose.gpu.yml", "docker-compose.gpu-retriever.yml")
SIXTH = """\
services:
  image:
    build:
      context: ../..
      dockerfile: deploy/images/Dockerfile
      args:
        SERVICE: summarizer
        SETTINGS: MENTOR_SUMMARIZER
        DESCRIPTION: a page in a sentence
        REST_PORT: 8085
        RPC_PORT: 50056
        SYSTEM_PACKAGES: libgomp1 tini
"""
# Stands in for Docker's client: one line for each call, its arguments apart by tabs.
RECORDER = """#!/bin/sh
line=; for part in "$@"; do line="$line$part\t"; done; echo "$line" >> "$RECORD"
"""


def built(tree: Path, tmp_path: Path, *options: str, **environment: str) -> dict[str, tuple[list[str], Facts]]:
    """What build.sh would have Docker build, by tag: other options, and the build's arguments."""
    client, record = tmp_path / "client", tmp_path / "record"
    client.write_text(RECORDER)
    client.chmod(0o755)
    record.unlink(missing_ok=True)
    subprocess.run(["bash", str(tree / "deploy/images/build.sh"), *options], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "DOCKER": str(client), "RECORD": str(record), **environment})  # fmt: skip
    found = {}
    for line in record.read_text().splitlines():
        parts = line.rstrip("\t").split("\t")
        pairs = [parts[at + 1].split("=", 1) for at, part in enumerate(parts) if part == "--build-arg"]
        found[parts[parts.index("-t") + 1]] = (parts, dict(pairs))
    return found


def lint(path: Path) -> None:
    done = subprocess.run(["hadolint", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_service_has_its_facts_and_both_locks_and_no_recipe_of_its_own() -> None:
    assert set(all_facts()) == set(SERVICES)
    for service in SERVICES:
        folder = ROOT / "services" / service
        for name in ("image.yaml", "requirements.lock", "requirements.gpu.lock"):
            assert (folder / name).is_file(), f"{service} has no {name}"
    assert list(ROOT.glob("services/**/Dockerfile")) == []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_has_no_complaint(path: Path) -> None:
    lint(path)


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_facts_are_those_that_the_recipe_asks_for(service: str) -> None:
    own = all_facts()[service]
    assert mistakes(own) == []
    assert (own["SERVICE"], own["SETTINGS"]) == (service, f"MENTOR_{service.upper()}")


def test_a_fact_that_is_misspelt_or_missing_is_named() -> None:
    found = mistakes(facts(ROOT / "services" / "sandbox") | {"HEALTH_URL": "/x", "REST_PORT": ""})
    assert [line.split(" ")[0] for line in found] == ["HEALTH_URL", "REST_PORT"]


@pytest.mark.parametrize("service", SERVICES)
def test_both_targets_run_as_a_user_with_a_health_check_and_labels(service: str) -> None:
    text = rendered(all_facts()[service])
    rest, rpc = SERVICES[service]
    for target, suffix in (("cpu", ""), ("gpu", "-gpu")):
        body = stages(text)[target]
        assert "\nUSER 10001:10001\n" in body
        assert "\nHEALTHCHECK " in body
        assert f"MENTOR_HEALTH_URL=http://127.0.0.1:{rest}/ready" in body
        assert f"MENTOR_{service.upper()}_HOST=0.0.0.0" in body
        assert "org.opencontainers.image.revision" in body
        assert f'org.opencontainers.image.title="mentor-{service}{suffix}"' in body
        assert f"\nEXPOSE {rest} {rpc} 9100\n" in body


def test_every_base_is_an_argument_and_what_changes_often_comes_last() -> None:
    text = RECIPE.read_text()
    assert text.count("ARG BASE_IMAGE=") == text.count("ARG GPU_BASE_IMAGE=") == 1
    assert not re.search(r"^FROM (?!\$\{)", text, re.M)
    packages, code = stages(text)["packages"], stages(text)["code"]
    assert "COPY mentor" not in packages and "COPY services/${SERVICE} " not in packages, "the lock's layer has no code"
    assert code.index("ARG SERVICE") > code.index("/opt/build"), "one layer of tools for all images"
    for target in ("cpu", "gpu"):
        body = stages(text)[target]
        assert body.index("COPY --from") < body.index("ARG REVISION"), "a commit alone changes labels, not layers"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_the_build_script_hands_every_fact_on(tmp_path: Path, target: str) -> None:
    found = built(ROOT, tmp_path, "--target", target)
    suffix = "" if target == "cpu" else "-gpu"
    assert set(found) == {f"mentor-{service}{suffix}:latest" for service in SERVICES}
    for service, own in all_facts().items():
        options, given = found[f"mentor-{service}{suffix}:latest"]
        assert {name: value for name, value in given.items() if name not in ("VERSION", "REVISION")} == own
        assert options[options.index("-f") + 1] == "deploy/images/Dockerfile"
        assert options[options.index("--target") + 1] == target


def test_what_the_caller_of_the_build_script_sets_goes_before_a_services_own(tmp_path: Path) -> None:
    set_by_caller = {"GPU_BASE_IMAGE": "stand-in", "ENGINE_PACKAGES": "install", "REGISTRY": "r"}
    found = built(ROOT, tmp_path, "--target", "gpu", "trainer", **set_by_caller)
    _, given = found["r/mentor-trainer-gpu:latest"]
    assert (given["GPU_BASE_IMAGE"], given["ENGINE_PACKAGES"]) == ("stand-in", "install")
    assert given["GPU_VENV"] == "--system-site-packages"


@pytest.mark.parametrize("files", [COMPOSE[:1], COMPOSE], ids=["cpu", "gpu"])
def test_compose_builds_every_image_of_ours_with_the_facts_of_its_service(files: tuple[str, ...]) -> None:
    known = all_facts()
    found = set()
    for name, service in compose_config(ROOT, *files).items():
        match = IMAGE.search(service["image"])
        assert ("build" in service) <= (match is not None), name
        if match is None or "build" not in service:
            continue
        build, own = service["build"], known[match[1]]
        given = {key: str(value) for key, value in build["args"].items() if key != "BASE_IMAGE"}
        assert (given, Path(build["context"])) == (own, ROOT), name
        assert build["dockerfile"] == "deploy/images/Dockerfile"
        assert build["target"] == ("gpu" if match[2] else "cpu"), name
        found.add(match[1])
    assert found == set(known)


def test_ports_users_health_and_images_are_the_facts_everywhere() -> None:
    assert disagreements(all_facts()) == []


@pytest.mark.parametrize(
    ("fact", "value", "named"),
    [
        ("REST_PORT", "5001", ("layout.py", "Service/sandbox", "sandbox: ports", "sandbox:5000")),
        ("RPC_PORT", "50061", ("layout.py", "Service/sandbox", "sandbox: ports", "docker-compose.yml: sandbox:50051")),
        ("HEALTH_PATH", "/health", ("is ready at",)),
        ("USER_ID", "10002", ("runs as 10001",)),
    ],
)
def test_a_fact_that_is_changed_in_one_place_alone_is_named(fact: str, value: str, named: tuple[str, ...]) -> None:
    known = all_facts()
    found = disagreements(known | {"sandbox": known["sandbox"] | {fact: value}})
    assert all(any(part in line for line in found) for part in named), found
    assert all("sandbox" in line for line in found)


def test_a_sixth_image_costs_a_dozen_lines(tmp_path: Path) -> None:
    """A made-up service with facts alone: the script builds it, Compose takes it, and the recipe is clean with it."""
    tree = tmp_path / "tree"
    folder = tree / "services" / "summarizer"
    folder.mkdir(parents=True)
    (folder / "image.yaml").write_text(SIXTH)
    shutil.copytree(RECIPE.parent, tree / "deploy" / "images")
    shutil.copy(ROOT / "pyproject.toml", tree)
    assert len(SIXTH.splitlines()) <= 12
    own = facts(folder)
    assert mistakes(own) == []

    _, given = built(tree, tmp_path)["mentor-summarizer:latest"]
    assert own.items() <= given.items()
    extends = "{file: services/summarizer/image.yaml, service: image}"
    compose = f"services: {{summarizer: {{extends: {extends}, build: {{target: cpu}}}}}}\n"
    (tree / "docker-compose.yml").write_text(compose)
    build = compose_config(tree, "docker-compose.yml")["summarizer"]["build"]
    assert ({k: str(v) for k, v in build["args"].items()}, Path(build["context"])) == (own, tree)

    made = tmp_path / "Dockerfile"
    made.write_text(rendered(own))
    lint(made)
    for target in ("cpu", "gpu"):
        body = stages(rendered(own))[target]
        assert "\nEXPOSE 8085 50056 9100\n" in body and "\nUSER 10001:10001\n" in body
        assert "MENTOR_SUMMARIZER_HOST=0.0.0.0" in body
        assert f"MENTOR_HEALTH_URL=http://127.0.0.1:8085{defaults()['HEALTH_PATH']}" in body
    assert "COPY services/summarizer services/summarizer\n" in rendered(own)
    assert "${SERVICE}" not in rendered(own)


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
