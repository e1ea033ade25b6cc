"""Read a checkpoint of M ranks on N: verl's files are one per rank, and are named after the number of ranks.

Every parameter (and every moment of the optimiser) of a fully sharded model lies in M pieces along one dimension, in the
order of the ranks. A rank of the N joins the pieces of one tensor at a time, takes its own part, and writes what verl would
have written for it, so that verl's loading reads it as its own. The files are mapped, not read whole.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

_MODEL = re.compile(r"model_world_size_(\d+)_rank_0\.pt")


def saved_ranks(folder: Path) -> int | None:
    """How many ranks wrote the checkpoint in ``folder``; None if it holds none."""
    found = [int(match[1]) for path in folder.glob("model_world_size_*") if (match := _MODEL.fullmatch(path.name))]
    return max(found, default=None)


def reshard(folder: Path, saved: int, target: Path, module: Any, optimizer: Any) -> None:
    """Write into ``target`` this rank's files of the checkpoint in ``folder``, which ``saved`` ranks wrote.

    Args:
        module: the sharded model, whose layout the new pieces get.
        optimizer: its optimiser, or None where none is loaded.

    Raises:
        ValueError: a tensor is laid out in a way that one dimension's pieces do not make.
    """
    world, rank = dist.get_world_size(), dist.get_rank()
    layouts = module.state_dict()
    pieces = [_load(folder / _name("model", saved, old)) for old in range(saved)]
    model = {name: _part(name, [piece[name] for piece in pieces], layouts[name]) for name in pieces[0]}
    torch.save(model, target / _name("model", world, rank))
    if optimizer is not None:
        torch.save(_moments(folder, saved, optimizer), target / _name("optim", world, rank))
    # Scheduler and seeds: the same on all ranks but for the state of the random numbers, of which new ranks take the last.
    shutil.copy(folder / _name("extra_state", saved, min(rank, saved - 1)), target / _name("extra_state", world, rank))


def _moments(folder: Path, saved: int, optimizer: Any) -> dict[str, Any]:
    """The optimiser's state for this rank; its parameters are numbered in the order of the groups."""
    states = [_load(folder / _name("optim", saved, old)) for old in range(saved)]
    numbers = [number for group in states[0]["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    layouts = dict(zip(numbers, parameters, strict=True))
    state = {
        number: {
            key: _part(f"{number}.{key}", [s["state"][number][key] for s in states], layouts[number])
            if isinstance(value, DTensor)
            else value
            for key, value in entry.items()
        }
        for number, entry in states[0]["state"].items()
    }
    return {**states[0], "state": state}


def _part(name: str, pieces: list[Any], layout: Any) -> Any:
    """This rank's part of the tensor that ``pieces`` make, laid out as ``layout`` is."""
    if not isinstance(pieces[0], DTensor):
        return pieces[0]
    (placement,) = pieces[0].placements if len(pieces[0].placements) == 1 else (None,)
    if not isinstance(placement, Shard) or not isinstance(layout, DTensor):
        raise ValueError(f"{name}: cannot change the number of ranks of {pieces[0].placements}")
    whole = torch.cat([piece._local_tensor for piece in pieces], dim=placement.dim)
    if whole.shape != layout.shape:
        raise ValueError(f"{name}: the pieces make {tuple(whole.shape)}, the model has {tuple(layout.shape)}")
    # src_data_rank=None: every rank has the whole and takes its part, nothing is sent.
    return distribute_tensor(whole, layout.device_mesh, layout.placements, src_data_rank=None)


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _name(kind: str, world: int, rank: int) -> str:
    return f"{kind}_world_size_{world}_rank_{rank}.pt"
