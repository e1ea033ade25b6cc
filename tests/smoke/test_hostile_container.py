"""Every hostile case against the sandbox's image, locked down as Compose runs it: the one place where the suite meets a
container. What only a whole stack has (its secrets, its networks) is in ``escapes.py``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.hostile.__main__ import ours, score
from tests.hostile.cases import CASES, COUNTS
from tests.hostile.containers import canary_folder, locked_down_sandbox
from tests.hostile.ours import LANES
from tests.smoke.docker import Docker, build_base_and


def test_no_case_gets_anywhere_in_a_locked_down_container(docker: Docker, figures: dict[str, Any]) -> None:
    build_base_and(docker, ["sandbox"])
    with canary_folder() as canaries, locked_down_sandbox(docker, canaries) as url:
        outcomes = asyncio.run(ours(url, canaries, CASES))
    bad = {f"{name}: {o.case.name}": o.problems for name, found in outcomes.items() for o in found if o.problems}
    figures["hostile_cases"] = {name: sum(n for _, n in score(found).values()) for name, found in outcomes.items()}
    assert not bad, json.dumps(bad, indent=1)
    own_form = {case.klass for case in CASES if case.request is not None}
    for lane in LANES:
        counted = {klass: tried for klass, (_, tried) in score(outcomes[lane.name]).items()}
        assert counted == {k: n for k, n in COUNTS.items() if lane.lane == "source" or k not in own_form}, lane.name
