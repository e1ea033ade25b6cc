"""The examples in the API's documentation are specs that work."""

from __future__ import annotations

from typing import Any

import pytest

from mentor_evaluator.api.rest import EXAMPLES
from mentor_evaluator.matrix.spec import EvaluationSpec


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_spec(name: str) -> None:
    spec = EvaluationSpec.model_validate(EXAMPLES[name]["value"])
    assert spec.models and (spec.suites or spec.own)


def test_arms_are_named_by_what_they_are() -> None:
    values: dict[str, Any] = {"models": [{"name": "m", "model": {"path": "/m"}}], "suites": ["gsm8k"]}
    spec = EvaluationSpec.model_validate({**values, "tools": "both", "thinking": "both"})
    assert [arm.name for arm in spec.arms(spec.models[0])] == [
        "tools-thinking", "tools-no-thinking", "no-tools-thinking", "no-tools-no-thinking",
    ]  # fmt: skip
