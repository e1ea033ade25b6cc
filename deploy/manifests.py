"""``python -m deploy.manifests [--check]``: what Kubernetes shares with Compose, written from its one source.

Prometheus' rules become a PrometheusRule, Grafana's dashboards config maps that its sidecar loads, and Redis' and Flower's
configuration is copied (kustomize reads no file outside its own folder).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "k8s"
BASE = K8S / "base"
COPIES = {
    "deploy/redis/redis.conf": "base/redis/redis.conf",
    "deploy/redis/start.sh": "base/redis/start.sh",
    "deploy/flower/start.sh": "base/monitoring/flower.sh",
    "deploy/outside/haproxy.cfg": "components/outside/haproxy.cfg",
}
_HEADER = "# Written by `make manifests`; change its source instead.\n"


def rules() -> str:
    """Recording and alerting rules for the Prometheus operator."""
    files = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    metadata = {"name": "mentor", "labels": {"release": "prometheus"}}
    return _dump({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata,
                  "spec": {"groups": groups}})  # fmt: skip


def dashboards() -> str:
    """One config map per dashboard, labelled for Grafana's sidecar."""
    documents = []
    for file in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        metadata = {"name": f"dashboard-{file.stem}", "labels": {"grafana_dashboard": "1"}}
        documents.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {file.name: file.read_text()}}
        )
    return "---\n".join(_dump(document) for document in documents)


def _dump(document: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, width=1000)
    return text


def rendered() -> dict[Path, str]:
    """Text by file."""
    copies = {K8S / target: (ROOT / source).read_text() for source, target in COPIES.items()}
    return copies | {
        BASE / "monitoring" / "rules.yaml": _HEADER + rules(),
        BASE / "monitoring" / "dashboards.yaml": _HEADER + dashboards(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [path for path, text in rendered().items() if not path.exists() or path.read_text() != text]
    if check:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"stale: {names} (run `make manifests`)" if stale else "manifests are current")
        return int(bool(stale))
    for path in stale:
        path.write_text(rendered()[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
