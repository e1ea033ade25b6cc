"""Where verl and Ray cannot be extended they are patched instead: verl twice for the CPU, once beside TRL and once for speed,
Ray once.

Each patch first checks that what it replaces still looks as it did in the pinned version, and refuses to run otherwise:
a silent mismatch would train something else.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mentor_trainer.verl_ext import RAY_TEMP_VARIABLE


class PatchError(RuntimeError):
    """What is to be patched no longer looks as expected."""


def _expect(condition: bool, target: str, reason: str) -> None:
    if not condition:
        raise PatchError(f"cannot patch {target}: {reason}; the trainer supports verl 0.9.1 and Ray 2.60 only")


def patch_process_group() -> None:
    """``cpu:gloo,cpu:gloo``, which stock verl builds where device and host are the same, is refused by torch.

    The ranks of a private Ray meet in a file of its folder, and one rank alone nowhere: a TCP store, by which others meet,
    listens on every interface.
    """
    import torch.distributed
    from verl.utils import distributed

    target = "verl.utils.distributed.initialize_global_process_group_ray"
    original: Callable[..., Any] = distributed.initialize_global_process_group_ray
    if getattr(original, "mentor_patched", False):
        return
    parameters = list(inspect.signature(original).parameters)
    _expect(parameters == ["timeout_second", "backend"], target, f"its parameters are {parameters}")
    _expect("cpu:gloo,{" in inspect.getsource(original), target, "it no longer builds the two-device backend")

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> None:
        ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        folder = os.environ.get(RAY_TEMP_VARIABLE)
        if ranks > 1 and folder is None:
            original(timeout_second, backend or "cpu:gloo")
        elif not torch.distributed.is_initialized():
            meeting = Path(folder or "") / f"ranks-{os.environ.get('MASTER_PORT')}"
            store = torch.distributed.FileStore(str(meeting), ranks) if ranks > 1 else torch.distributed.HashStore()
            torch.distributed.init_process_group(backend or "cpu:gloo", rank=rank, world_size=ranks, store=store)

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


def hide_trl() -> None:
    """verl asks whether TRL is installed, and then imports from it what releases of the last years do not have.

    It wants a model with a value head there, for critics, which GRPO has none of. SFT and DPO run on TRL in processes of
    their own.
    """
    from verl.utils import import_utils

    target = "verl.utils.import_utils.is_trl_available"
    original = import_utils.is_trl_available
    if getattr(original, "mentor_patched", False):
        return
    _expect('find_spec("trl")' in inspect.getsource(original), target, "it no longer looks for the package")

    def nowhere() -> bool:
        return False

    nowhere.mentor_patched = True  # type: ignore[attr-defined]
    for name in ("verl.utils.import_utils", "verl.models.transformers.monkey_patch", "verl.utils.model"):
        if name in sys.modules:  # the others take it by name when they are imported
            sys.modules[name].is_trl_available = nowhere  # type: ignore[attr-defined]


def make_loops_directly() -> None:
    """verl has Hydra make an agent loop for each sample, which merges configurations for two milliseconds: more than the tiny
    student takes to read a prompt. Here a loop's class is looked up once.
    """
    from hydra.utils import get_class
    from verl.experimental.agent_loop import agent_loop

    target = "verl.experimental.agent_loop.agent_loop.hydra"
    if getattr(agent_loop.hydra, "mentor_patched", False):
        return
    source = inspect.getsource(agent_loop)
    _expect("agent_loop = hydra.utils.instantiate(\n" in source, target, "loops are no longer made by it")
    _expect(source.count("= hydra.") == 1, target, "it is used for more than loops")
    class_of = cache(get_class)

    def instantiate(config: Mapping[str, Any], **arguments: Any) -> Any:
        own = {name: value for name, value in config.items() if name != "_target_"}
        return class_of(config["_target_"])(**own, **arguments)

    agent_loop.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiate), mentor_patched=True)


def keep_ray_on_loopback() -> None:
    """Let ``ray.init(_node_ip_address="127.0.0.1")`` mean it: Ray puts the machine's outer address in its place.

    With 127.0.0.1 as the node's address, all of Ray's servers listen on loopback, and verl's and TransferQueue's, which
    ask Ray for the address, do too. For the driver of a private Ray on one machine.
    """
    from ray._private import services

    target = "ray._private.services.resolve_ip_for_localhost"
    original = services.resolve_ip_for_localhost
    if getattr(original, "mentor_patched", False):
        return
    parameters = list(inspect.signature(original).parameters)
    _expect(parameters == ["host"], target, f"its parameters are {parameters}")
    _expect("get_node_ip_address()" in inspect.getsource(original), target, "it no longer replaces the address")

    def as_given(host: str) -> str:
        return host

    as_given.mentor_patched = True  # type: ignore[attr-defined]
    services.resolve_ip_for_localhost = as_given


def apply() -> None:
    """Apply verl's two of the CPU. Applying twice changes nothing."""
    patch_process_group()
    patch_reference_offload()
