"""Imported by every verl process (``VERL_USE_EXTERNAL_MODULES``): registers what verl looks up by name.

The dataset, reward manager, agent loop and checkpoint callback are not here: verl loads them by path where it needs them.
"""

from __future__ import annotations

import os

CPU = os.environ.get("VERL_PLATFORM") == "cpu"

if CPU:
    # First: verl asks for the platform while its other modules are being imported.
    from mentor_trainer.verl_ext import platform_cpu  # noqa: F401

from mentor_trainer.verl_ext import advantage, engine_cpu, trainer  # noqa: F401  (importing registers)

engine_cpu.register_rollout()

if CPU:
    from mentor_trainer.verl_ext import patches

    engine_cpu.register_engine()
    patches.apply()
