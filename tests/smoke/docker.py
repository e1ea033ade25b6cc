"""Docker for the smoke test: a daemon (the machine's, or one of its own), images, and the stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "mentor-smoke"
SERVICES = tuple(sorted(path.parent.name for path in ROOT.glob("services/*/image.yaml")))
STANDINS = {"redis": "REDIS", "prometheus": "PROMETHEUS", "alertmanager": "ALERTMANAGER", "redis-exporter": "REDIS_EXPORTER",
            "flower": "FLOWER"}  # fmt: skip
BASE = "python:3.11-slim-bookworm"


class Docker:
    """Runs the client against one daemon."""

    def __init__(self, host: str | None) -> None:
        # Debian's client knows BuildKit and compose; another in front of it may not.
        self.client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
        self.environment = os.environ | {"DOCKER": self.client, "DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
        if host:
            self.environment["DOCKER_HOST"] = host

    def run(self, *arguments: str, timeout: float = 600, check: bool = True, input: str | None = None) -> str:
        """``docker ARGUMENTS``: its standard output."""
        return self.shell([self.client, *arguments], timeout=timeout, check=check, input=input)

    def shell(
        self,
        command: Sequence[str],
        *,
        timeout: float = 600,
        check: bool = True,
        input: str | None = None,
        **extra: str,
    ) -> str:
        """A command with this daemon's environment."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | extra,
            capture_output=True,
            text=True,
            timeout=timeout,
            input=input,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """Facts of a container or image."""
        found: dict[str, Any] = json.loads(self.run("inspect", name))[0]
        return found

    def size(self, image: str) -> int:
        """Bytes of an image, all layers."""
        return int(self.inspect(image)["Size"])

    def has(self, image: str) -> bool:
        return bool(self.run("images", "--quiet", image).strip())


@contextmanager
def daemon() -> Iterator[Docker]:
    """The machine's daemon if it answers, else one of our own under a temporary folder, taken down again."""
    present = Docker(os.environ.get("DOCKER_HOST"))
    done = subprocess.run([present.client, "info"], env=present.environment, capture_output=True)
    if done.returncode == 0:
        yield present
        return
    folder = Path(tempfile.mkdtemp(prefix="mentor-docker-"))
    script = str(ROOT / "deploy" / "smoke" / "daemon.sh")
    own = Docker(f"unix://{folder}/docker.sock")
    try:
        own.shell(["bash", script, "start", str(folder)])
        yield own
    finally:
        own.shell(["bash", script, "stop", str(folder)], check=False)


def can_have_docker() -> str | None:
    """Why the smoke test cannot run here, or None."""
    if subprocess.run([Docker(None).client, "info"], capture_output=True).returncode == 0:
        return None
    missing = [tool for tool in ("dockerd", "docker-compose", "mmdebstrap", "iptables") if shutil.which(tool) is None]
    if missing:
        return f"no Docker daemon, and to start one there is no {', '.join(missing)}"
    return None if os.geteuid() == 0 else "no Docker daemon, and only root can start one"


def build_everything(docker: Docker) -> None:
    """The base (where it cannot be pulled), the CPU images, and the stand-ins for what cannot be pulled."""
    build_base_and(docker, SERVICES)
    for name in STANDINS:
        docker.run("build", "--quiet", "-f", "deploy/smoke/Dockerfile", "--target", name, "-t", f"mentor-standin-{name}", ".",
                   timeout=900)  # fmt: skip


def build_base_and(docker: Docker, services: Sequence[str]) -> None:
    """The base, where it cannot be pulled, and the CPU images of some services."""
    pull = [docker.client, "pull", "--quiet", BASE]
    if (
        not docker.has(BASE)
        and subprocess.run(pull, env=docker.environment, capture_output=True, timeout=120).returncode
    ):
        docker.shell(["bash", str(ROOT / "deploy" / "smoke" / "base.sh")], timeout=900)
    script = ["bash", str(ROOT / "deploy" / "images" / "build.sh")]
    with tempfile.TemporaryDirectory() as wheels:
        if set(services) - {"sandbox", "teacher"}:
            # Whatever build of torch this machine's pip is set up to take; that it is a CPU build is asserted on the images.
            pin = next(line for line in (ROOT / "services/trainer/requirements.lock").read_text().splitlines()
                       if line.startswith("torch=="))  # fmt: skip
            docker.shell(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", pin, "--dest", wheels], timeout=900
            )
            script += ["--torch-from", wheels]
        docker.shell([*script, *services], timeout=3000)


class Stack:
    """The Compose project, under a name and secrets of its own."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self.docker = docker
        self.folder = folder
        variables = {f"{prefix}_IMAGE": f"mentor-standin-{name}" for name, prefix in STANDINS.items()}
        self.variables = variables | {"MENTOR_TAG": "latest", "COMPOSE_PROFILES": ""}
        self._compose = ["docker-compose"] if shutil.which("docker-compose") else [docker.client, "compose"]

    def compose(self, *arguments: str, timeout: float = 600, check: bool = True) -> str:
        """``docker compose -p PROJECT ARGUMENTS``."""
        command = [*self._compose, "-p", PROJECT, "-f", "docker-compose.yml", *arguments]
        return self.docker.shell(command, timeout=timeout, check=check, **self.variables)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Facts of every container by service name."""
        ids = self.compose("ps", "--quiet").split()
        found = [self.docker.inspect(container) for container in ids]
        return {facts["Config"]["Labels"]["com.docker.compose.service"]: facts for facts in found}

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False, timeout=300)
