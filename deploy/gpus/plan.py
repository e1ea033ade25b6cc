"""The plan in .env: who holds which device for good, and on which ones jobs take turns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRESETS = {int(path.stem): path for path in Path(__file__).parent.glob("*.env")}
JOBS = "GPU_IDS_JOBS"
HOLDERS = {"GPU_IDS_TEACHER": "teacher", "GPU_IDS_STUDENT": "student", "GPU_IDS_RETRIEVER": "retriever"}
COUNTS = {"GPU_IDS_TEACHER": "GPU_COUNT_TEACHER", JOBS: "GPU_COUNT_JOBS"}
KEYS = ("COMPOSE_FILE", "COMPOSE_PROFILES", *HOLDERS, JOBS, *COUNTS.values())
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def read(text: str) -> dict[str, str]:
    """Variables of an .env file."""
    return {name: value.strip() for name, value in _LINE.findall(text)}


def merged(text: str, preset: Mapping[str, str]) -> str:
    """An .env file with the preset's variables in place of its own; what it lacks goes to the end."""
    missing = dict(preset)

    def replaced(match: re.Match[str]) -> str:
        return f"{match[1]}={missing.pop(match[1])}" if match[1] in missing else match[0]

    text = _LINE.sub(replaced, text)
    return text.rstrip("\n") + "".join(f"\n{name}={value}" for name, value in missing.items()) + "\n"


def mistakes(variables: Mapping[str, str]) -> list[str]:
    """What is wrong with a plan, a line each; empty if every device is held by one at a time."""
    started = _started(variables)
    found: list[str] = []
    owner: dict[str, str] = {}
    for key in (*(key for key, service in HOLDERS.items() if service in started), JOBS):
        ids = [part.strip() for part in variables.get(key, "").split(",") if part.strip()]
        if not ids:
            found.append(f"{key} is empty, allowed: device numbers or UUIDs, separated by commas")
        for device in ids:
            if device in owner:
                found.append(
                    f"{key}: GPU {device} is held by {owner[device]} as well, allowed: one holder for a device"
                )
            owner[device] = key
        count = COUNTS.get(key)
        if count and variables.get(count) != str(len(ids)):
            found.append(f"{count} is {variables.get(count)!r}, allowed: {len(ids)}, the number of devices in {key}")
    return found


def _started(variables: Mapping[str, str]) -> set[str]:
    """Services that hold GPUs for good in this plan: by profile, and the retriever by its Compose file."""
    profiles = {name.strip() for name in variables.get("COMPOSE_PROFILES", "").split(",")}
    files = variables.get("COMPOSE_FILE", "").split(":")
    retriever = {"retriever"} if any("gpu-retriever" in file for file in files) else set()
    return (profiles & set(HOLDERS.values())) | retriever
