"""The two places where verl cannot be extended and is patched instead, for the CPU only.

Each patch first checks that what it replaces still looks as it did in the pinned version, and refuses to run otherwise:
a silent mismatch would train something else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


class PatchError(RuntimeError):
    """verl no longer looks as the patch expects."""


def _expect(condition: bool, target: str, reason: str) -> None:
    if not condition:
        raise PatchError(f"cannot patch {target}: {reason}; the trainer supports verl 0.9.1 only")


def patch_process_group() -> None:
    """``cpu:gloo,cpu:gloo``, which stock verl builds where device and host are the same, is refused by torch."""
    from verl.utils import distributed

    target = "verl.utils.distributed.initialize_global_process_group_ray"
    original: Callable[..., Any] = distributed.initialize_global_process_group_ray
    if getattr(original, "mentor_patched", False):
        return
    parameters = list(inspect.signature(original).parameters)
    _expect(parameters == ["timeout_second", "backend"], target, f"its parameters are {parameters}")
    _expect("cpu:gloo,{" in inspect.getsource(original), target, "it no longer builds the two-device backend")

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        original(timeout_second, backend or "cpu:gloo")

    initialize.mentor_patched = True  # type: ignore[attr-defined]
    distributed.initialize_global_process_group_ray = initialize


def patch_reference_offload() -> None:
    """The FSDP2 reference policy pins its memory, which only an accelerator's driver can do."""
    from verl.workers.engine.fsdp import transformer_impl

    target = "verl.workers.engine.fsdp.transformer_impl.CPUOffloadPolicy"
    original = transformer_impl.CPUOffloadPolicy
    if getattr(original, "mentor_patched", False):
        return
    _expect("pin_memory" in inspect.signature(original).parameters, target, "it takes no pin_memory")
    source = inspect.getsource(transformer_impl)
    _expect("CPUOffloadPolicy(pin_memory=True)" in source, target, "it is no longer called with pin_memory=True")

    def unpinned(pin_memory: bool = True) -> Any:
        return original(pin_memory=False)

    unpinned.mentor_patched = True  # type: ignore[attr-defined]
    transformer_impl.CPUOffloadPolicy = unpinned


def apply() -> None:
    """Apply both. Applying twice changes nothing."""
    patch_process_group()
    patch_reference_offload()
