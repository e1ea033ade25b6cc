"""Runs inside an image: what is installed in it, as a CycloneDX bill of materials on standard output. Standard library only."""

import importlib.metadata as metadata
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def python_packages() -> Iterator[dict[str, Any]]:
    for package in metadata.distributions(path=[*sys.path, "/opt/mentor"]):
        name, version = package.metadata["Name"], package.version
        entry = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        if text := (package.metadata.get("License-Expression") or package.metadata.get("License")):
            entry["licenses"] = [{"license": {"name": text.splitlines()[0][:200]}}]
        yield entry


def debian_packages() -> Iterator[dict[str, Any]]:
    status = Path("/var/lib/dpkg/status")
    for block in status.read_text().split("\n\n") if status.exists() else []:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith("installed"):
            name, version = fields["Package"], fields["Version"]
            yield {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}"}


unique = {entry["purl"]: entry for entry in (*python_packages(), *debian_packages())}
components = [unique[purl] for purl in sorted(unique)]
tool = {"type": "application", "name": "python", "version": platform.python_version()}
json.dump({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": tool},
           "components": components}, sys.stdout, indent=1)  # fmt: skip
