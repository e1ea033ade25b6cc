"""The checkpoint callback: a checkpoint counts once its manifest is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from mentor_trainer.checkpoints import commit


class ManifestCallback(CheckpointCallback):  # type: ignore[misc]
    """Writes the manifest after verl has written everything else; a failure stops the run, as verl intends."""

    def on_save(
        self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs: Any
    ) -> None:
        """Commit ``checkpoint_dir``; see ``mentor_trainer.checkpoints``."""
        if not async_save:
            commit(Path(checkpoint_dir), global_step)
