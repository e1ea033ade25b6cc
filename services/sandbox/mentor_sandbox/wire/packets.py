"""Server and zygote. What the server and a zygote say to each other: fixed-size packets. Standard library only.

Server to zygote, one packet each: ``F`` fork a child (its descriptors come along, the number is its user id or -1),
``K`` kill a child, ``S`` send a child alone the signal in the number, ``P`` stop a child alone and say so, ``N`` lower a
child's priority if it has used the CPU for most of the milliseconds in the last field. Zygote to server: ``X`` a child
ended, ``E`` the fork failed, ``P`` the child is stopped, ``L`` the priority was lowered.
"""

from __future__ import annotations

import struct

PACKET = struct.Struct("=cQiq")
"""Kind, child id, user id (``F``), wait status (``X``) or errno (``E``), peak resident memory in KiB (``X``)."""
CONFIG_BYTES = 65536
"""Most that a zygote's configuration takes: the first packet, JSON."""
MAX_DESCRIPTORS = 4
FORK, KILL, NICE, SIGNAL, PAUSE, EXITED, FAILED, LOWERED = b"F", b"K", b"N", b"S", b"P", b"X", b"E", b"L"
