"""``python -m mentor_trainer.verl_ext.entry OVERRIDE...``: verl's own ``main_ppo`` with our plugin loaded.

``VERL_PLATFORM=cpu`` chooses the CPU. The plugin is imported by every process that verl starts, on every node, because
Ray's workers inherit the variable (and ``RUNTIME_ENV`` carries it where they do not).
"""

from __future__ import annotations

import os

from mentor_trainer.verl_ext import PLUGIN_MODULE


def main() -> None:
    """Run to the end; the arguments are hydra overrides of verl's ``ppo_trainer``."""
    modules = [m for m in os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",") if m]
    if PLUGIN_MODULE not in modules:
        os.environ["VERL_USE_EXTERNAL_MODULES"] = ",".join([*modules, PLUGIN_MODULE])
    from verl.trainer.main_ppo import main as verl_main

    verl_main()


if __name__ == "__main__":
    main()
