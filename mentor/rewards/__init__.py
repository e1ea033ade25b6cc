"""Rewards over whole trajectories (paper, section 3.2): components, composition, presets."""

from mentor.rewards.base import Judge
from mentor.rewards.compose import RewardResult, score
from mentor.rewards.schedule import WeightSchedule
from mentor.rewards.spec import RewardSpec, Weights, load_preset, preset_names

__all__ = [
    "Judge",
    "RewardResult",
    "RewardSpec",
    "WeightSchedule",
    "Weights",
    "load_preset",
    "preset_names",
    "score",
]
