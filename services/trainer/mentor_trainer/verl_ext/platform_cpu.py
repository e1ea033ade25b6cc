"""The ``cpu`` platform: what verl asks of an accelerator, answered by the processor.

verl ships cuda, npu and rocm. Registered through ``PlatformRegistry``; chosen only by ``VERL_PLATFORM=cpu``, never detected.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

_CPU = torch.device("cpu")


class _CpuModule(types.ModuleType):
    """``torch.cpu`` with the memory and random-state functions that verl calls on ``torch.<device>``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)


def _zero(*_: Any, **__: Any) -> int:
    return 0


def _nothing(*_: Any, **__: Any) -> None:
    return None


def cpu_device_module() -> types.ModuleType:
    """The stand-in for ``torch.cuda``. ``is_available`` is False: it keeps verl's GPU memory helpers off."""
    module = _CpuModule("mentor_trainer.verl_ext.torch_cpu")
    for name in (
        "memory_allocated",
        "memory_reserved",
        "max_memory_allocated",
        "max_memory_reserved",
        "reset_peak_memory_stats",
    ):
        setattr(module, name, _zero)
    for name in ("empty_cache", "ipc_collect", "synchronize", "set_device"):
        setattr(module, name, _nothing)
    answers: dict[str, Any] = {
        "mem_get_info": lambda *_: (1, 1),
        "is_available": lambda: False,
        "current_device": lambda: _CPU,
        "get_device_name": lambda *_: "cpu",
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
    }
    for name, answer in answers.items():
        setattr(module, name, answer)
    return module


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):  # type: ignore[misc]
    """One processor as one device; collectives over gloo."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = cpu_device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False

    def current_device(self) -> torch.device:
        return _CPU

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        """A logical Ray GPU (``ray.init(num_gpus=1)``): verl's resource check knows GPU and NPU only."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None
