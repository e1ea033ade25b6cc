"""Reward specs: which variants, which weights, which gates; and the presets, each a YAML to copy."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from mentor.errors import UserError
from mentor.rewards.alignment import ALIGNMENT
from mentor.rewards.correctness import CORRECTNESS
from mentor.rewards.gates import Gates
from mentor.rewards.validation import VALIDATION
from mentor.trajectory import Frozen

_VARIANTS: dict[str, Collection[str]] = {
    "correctness": CORRECTNESS,
    "alignment": ALIGNMENT,
    "validation": VALIDATION,
}


class Weights(Frozen):
    """w_c, w_a, w_v of the total reward."""

    correctness: float = 0.7
    alignment: float = 0.3
    validation: float = 0.1


class RewardSpec(Frozen):
    """R = w_c R_c + w_a R_a + w_v R_v.

    ``wrong_answer_alignment_scale`` multiplies R_a when the answer is wrong (published code: 0.2).
    """

    name: str = "custom"
    weights: Weights = Field(default_factory=Weights)
    correctness: str = "ground_truth"
    alignment: str = "flexible"
    validation: str = "executed"
    wrong_answer_alignment_scale: float = 1.0
    floor: float = 0.0
    """Least total of a trajectory that passed every gate (published sparse: 0.1 for a wrong answer)."""
    gates: Gates = Field(default_factory=Gates)

    @field_validator("correctness", "alignment", "validation")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        variants: Collection[str] = _VARIANTS[info.field_name]
        if value not in variants:
            raise ValueError(f"unknown variant {value!r}; allowed: {', '.join(variants)}")
        return value


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("mentor.rewards") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name_or_path: str | Path) -> RewardSpec:
    """A preset by name, or a user's YAML by path.

    Raises:
        UserError: no such preset or file, or a field in it that is wrong.
    """
    source = str(name_or_path)
    if source in preset_names():
        text = (resources.files("mentor.rewards") / "presets" / f"{source}.yaml").read_text()
    elif source.endswith((".yaml", ".yml")) and Path(source).is_file():
        text = Path(source).read_text()
    else:
        allowed = f"{', '.join(preset_names())}, or the path of a YAML file"
        raise UserError(f"unknown reward preset {source!r}", field="preset", allowed=allowed)
    try:
        return RewardSpec.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {str(error).splitlines()[0]}", field="preset") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{source}: {first['msg']}", field=where) from error
