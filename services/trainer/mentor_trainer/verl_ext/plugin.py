"""Imported by every verl process (``VERL_USE_EXTERNAL_MODULES``): registers what verl looks up by name.

The dataset, reward manager, agent loop and checkpoint callback are not here: verl loads them by path where it needs them.
"""

from __future__ import annotations

import os

from mentor_trainer.verl_ext import advantage, engine_cpu  # noqa: F401  (importing registers the estimator)

engine_cpu.register_rollout()

if os.environ.get("VERL_PLATFORM") == "cpu":
    from mentor_trainer.verl_ext import patches, platform_cpu  # noqa: F401  (importing registers the platform)

    engine_cpu.register_engine()
    patches.apply()

from mentor_trainer.verl_ext import trainer  # noqa: E402, F401  (last: it needs the platform)
