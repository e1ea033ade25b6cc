"""``python -m mentor_trainer.verl_ext.entry OVERRIDE...``: verl's own ``main_ppo`` with our plugin loaded.

``VERL_PLATFORM=cpu`` chooses the CPU. The plugin is imported by every process that verl starts: Ray's workers inherit
``VERL_USE_EXTERNAL_MODULES``, on a cluster through the job's runtime environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mentor_trainer.overrides import literal
from mentor_trainer.verl_ext import PLUGIN_MODULE, RAY_TEMP_VARIABLE
from mentor_trainer.verl_ext.patches import keep_ray_on_loopback
from mentor_trainer.verl_ext.prefork import fork_workers


def main() -> None:
    """Run to the end; the arguments are hydra overrides of verl's ``ppo_trainer``."""
    modules = [m for m in os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",") if m]
    if PLUGIN_MODULE not in modules:
        os.environ["VERL_USE_EXTERNAL_MODULES"] = ",".join([*modules, PLUGIN_MODULE])
    if folder := os.environ.get(RAY_TEMP_VARIABLE):
        sys.argv += private_ray(folder)
        if os.environ.get("VERL_PLATFORM") == "cpu" and (command := fork_workers(Path(folder))) is not None:
            sys.argv.append(f"+ray_kwargs.ray_init.runtime_env.py_executable={literal(command)}")
        keep_ray_on_loopback()
    from verl.trainer.main_ppo import main as verl_main

    verl_main()


def private_ray(folder: str) -> list[str]:
    """Overrides for a Ray instance of this run's own: never an existing one, its files in ``folder``, loopback only."""
    prefix = "+ray_kwargs.ray_init"
    return [
        f"{prefix}.address=local",
        f"{prefix}._temp_dir='{folder}'",
        f"{prefix}._node_ip_address='127.0.0.1'",
        f"{prefix}.include_dashboard=false",
    ]


if __name__ == "__main__":
    main()
