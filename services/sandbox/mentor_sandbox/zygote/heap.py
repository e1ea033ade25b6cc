"""Zygote. The heap of a zygote before it forks. Standard library only; glibc alone, elsewhere nothing happens.

A child copies every page that it writes to. What it allocates should therefore lie together, at the end of the heap, and not
in the holes that imports have left all over it.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD = -1, -2
_ROOM = 1 << 20
"""Bytes at the end of the heap that are in memory before the fork: a child copies pages of it, it does not ask for new ones."""
_PIECE = 64 << 10
_SIZES = (*(1 << n for n in range(15, 9, -1)), *range(1008, 8, -16))
"""Largest first: each takes the holes that are too small for the one before."""


class _Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "_1", "_2", "_3", "_4", "_5", "_6", "_7", "free", "top")]


def settle() -> None:
    """Take every hole of the heap for good, and make room at its end."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return
    libc.mallinfo2.restype = _Info
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
    libc.mallopt(_TOP_PAD, _ROOM)
    pieces = [libc.malloc(_PIECE) for _ in range(_ROOM // _PIECE)]
    for piece in pieces:
        ctypes.memset(piece, 1, _PIECE)
    for piece in pieces:
        libc.free(piece)
    end = libc.sbrk(0) - libc.mallinfo2().top
    for size in _SIZES:
        while (libc.malloc(size) or end) < end:
            continue
