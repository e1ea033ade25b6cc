"""Every hostile case against the sandbox's image, locked down as Compose runs it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.hostile.__main__ import ours, score
from tests.hostile.cases import CASES
from tests.hostile.containers import canary_folder, locked_down_sandbox
from tests.smoke.docker import Docker, build_base_and


def test_no_case_gets_anywhere_in_a_locked_down_container(docker: Docker, figures: dict[str, Any]) -> None:
    build_base_and(docker, ["sandbox"])
    with canary_folder() as canaries, locked_down_sandbox(docker, canaries) as url:
        outcomes = asyncio.run(ours(url, canaries, CASES))
    bad = {f"{name}: {o.case.name}": o.problems for name, found in outcomes.items() for o in found if o.problems}
    figures["hostile_cases"] = {name: sum(n for _, n in score(found).values()) for name, found in outcomes.items()}
    assert not bad, json.dumps(bad, indent=1)
    assert all(len(found) >= 150 for found in outcomes.values())
