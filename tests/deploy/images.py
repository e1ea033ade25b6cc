"""The facts beside each service, the recipe as it reads with them, and where Compose and Kubernetes disagree with them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentor.local.layout import SERVICES
from tests.deploy.manifests import ROOT, containers, of_kind

RECIPE = ROOT / "deploy" / "images" / "Dockerfile"
REQUIRED = ("SERVICE", "SETTINGS", "DESCRIPTION", "REST_PORT", "RPC_PORT")
ADMIN_PORT = "9102"
IMAGE = re.compile(r"(?:^|[/}])mentor-([a-z-]+?)(-gpu)?:")
Facts = dict[str, str]
_ARGUMENT = re.compile(r"^ARG (\w+)(?:=(.*))?$", re.MULTILINE)


def facts(folder: Path) -> Facts:
    """What a service's ``image.yaml`` says, values as text."""
    loaded = yaml.safe_load((folder / "image.yaml").read_text())["services"]["image"]["build"]["args"]
    return {name: str(value) for name, value in loaded.items()}


def all_facts() -> dict[str, Facts]:
    """Facts by service."""
    return {path.parent.name: facts(path.parent) for path in sorted(ROOT.glob("services/*/image.yaml"))}


def defaults() -> Facts:
    """The recipe's arguments, with what holds for a service that says nothing."""
    return dict(_ARGUMENT.findall(RECIPE.read_text().split("\nFROM ", 1)[0]))


def rendered(given: Facts) -> str:
    """The recipe with a service's facts in it, but for what its shells expand."""
    text = RECIPE.read_text()
    for name, value in (defaults() | given).items():
        text = text.replace(f"${{{name}}}", value)
    return text


def stages(text: str) -> dict[str, str]:
    """Stages of a Dockerfile by name."""
    return {part.split("\n", 1)[0].split(" AS ")[1]: part for part in text.split("\nFROM ")[1:]}


def mistakes(given: Facts) -> list[str]:
    """Facts that the recipe does not know or lacks."""
    known = defaults()
    unknown = sorted(given.keys() - known.keys())
    found = [f"{name} is no argument of the recipe, allowed: {', '.join(known)}" for name in unknown]
    return found + [f"{name} is missing" for name in REQUIRED if not given.get(name)]


def compose_config(folder: Path, *files: str) -> dict[str, Any]:
    """What Compose itself makes of its files (no daemon is asked): services by name."""
    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    if shutil.which(command[0]) is None:
        pytest.skip("neither docker-compose nor docker is there: Compose's own reading cannot be had")
    options = [part for file in files for part in ("-f", file)]
    done = subprocess.run([*command, *options, "config"], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"MENTOR_MODELS": "/models"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return loaded


def disagreements(known: Mapping[str, Facts]) -> list[str]:
    """Where ports, users, health and images elsewhere are not those of the facts, a line each."""
    local = [f"mentor/local/layout.py: {name} has {SERVICES.get(name)}" for name, own in known.items()
             if SERVICES.get(name) != (int(own["REST_PORT"]), int(own["RPC_PORT"]))]  # fmt: skip
    return [*local, *_in_kubernetes(known), *_in_addresses(known)]


def _in_kubernetes(known: Mapping[str, Facts]) -> Iterator[str]:
    user = defaults()["USER_ID"]
    for overlay in ("overlays/cpu", "overlays/gpu"):
        for where, pod, container in containers(overlay):
            match = IMAGE.search(container["image"])
            if match is None:
                continue
            own = known.get(match[1])
            if own is None:
                yield f"{where}: no service has an image {container['image']}"
                continue
            if str(pod["securityContext"]["runAsUser"]) != own.get("USER_ID", user):
                yield f"{where}: runs as {pod['securityContext']['runAsUser']}"
            if container["name"] == match[1]:
                yield from (f"{where}: {problem}" for problem in _in_container(own, container))
        yield from _in_services(overlay, known)


def rpc_port(own: Facts) -> str | None:
    """None where a service has no gRPC, which it says by naming its REST port again."""
    return own["RPC_PORT"] if own["RPC_PORT"] != own["REST_PORT"] else None


def _in_container(own: Facts, container: Mapping[str, Any]) -> Iterator[str]:
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    if (ports.get("rest"), ports.get("grpc")) != (own["REST_PORT"], rpc_port(own)):
        yield f"ports {ports}"
    health = {"path": own.get("HEALTH_PATH", defaults()["HEALTH_PATH"]), "port": "rest"}
    if container["readinessProbe"]["httpGet"] != health:
        yield f"is ready at {container['readinessProbe']['httpGet']}"


def _in_services(overlay: str, known: Mapping[str, Facts]) -> Iterator[str]:
    found = {d["metadata"]["name"]: d["spec"]["ports"] for d in of_kind(overlay, "Service")}
    for name, own in known.items():
        ports = {port["name"]: str(port["port"]) for port in found.get(name, [])}
        if (ports.get("rest"), ports.get("grpc")) != (own["REST_PORT"], rpc_port(own)):
            yield f"{overlay}: Service/{name}: ports {ports}"


def _in_addresses(known: Mapping[str, Facts]) -> Iterator[str]:
    """``NAME:PORT`` wherever Compose, Kubernetes and Prometheus name one, and what Compose publishes."""
    address = re.compile(rf"(?<![\w/.-])(?:http://)?({'|'.join(known)}):(\d{{4,5}})\b")
    prometheus = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    for file in (*ROOT.glob("docker-compose*.yml"), *(ROOT / "k8s").rglob("*.yaml"), prometheus):
        for name, port in address.findall(file.read_text()):
            own = known[name]
            if port not in (own["REST_PORT"], own["RPC_PORT"], ADMIN_PORT):
                yield f"{file.relative_to(ROOT)}: {name}:{port}"
    published = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, own in known.items():
        ports = [entry.rsplit(":", 1)[1] for entry in published.get(name, {}).get("ports", [])]
        if not set(ports) <= {own["REST_PORT"], ADMIN_PORT}:
            yield f"docker-compose.yml: {name} publishes {ports}"
