"""Imported by every verl process (``VERL_USE_EXTERNAL_MODULES``): registers what verl looks up by name.

The dataset, reward manager, agent loop and checkpoint callback are not here: verl loads them by path where it needs them.
"""

from __future__ import annotations

import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    # Before all else: verl asks for the platform, and takes the functions that are patched, while it is being imported.
    from mentor_trainer.verl_ext import patches, platform_cpu  # noqa: F401  (importing registers the platform)

    patches.apply()

from mentor_trainer.verl_ext.patches import hide_trl

hide_trl()

from mentor_trainer.verl_ext import advantage, engine, loss, rollout_local, trainer  # noqa: E402, F401  (importing registers)

rollout_local.register()
engine.register_engine("cpu" if os.environ.get("VERL_PLATFORM") == "cpu" else "cuda")
