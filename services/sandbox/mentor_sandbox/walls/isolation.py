"""Server. What keeps calls apart from one another, and whether that is enough to take work."""

from __future__ import annotations

from collections.abc import Mapping

LANDLOCK, UID, POD = "landlock", "uid per call", "pod per lane under gVisor"


def isolation(walls: Mapping[str, str], lane: str | None) -> str | None:
    """The wall between calls that counts: Landlock, else a user id per call, else a pod per lane under gVisor.

    gVisor has no Landlock; there a pod that serves one lane only (``lane``) keeps, say, sessions from untrusted calls.
    None if nothing does.
    """
    if walls["landlock"].startswith("on"):
        return LANDLOCK
    if walls["uid"].startswith("on"):
        return UID
    if walls["gvisor"].startswith("on") and lane is not None:
        return POD
    return None


def why_not(walls: Mapping[str, str], lane: str | None) -> str | None:
    """Why work must not be taken; None if calls are kept apart."""
    if isolation(walls, lane) is not None:
        return None
    reasons = f"Landlock is {walls['landlock']}; a user id per call is {walls['uid']}; gVisor is {walls['gvisor']}"
    hint = ", and under it the setting `lane` must name the one lane that this pod serves" if _gvisor(walls) else ""
    return f"calls are not isolated from one another: {reasons}{hint}"


def _gvisor(walls: Mapping[str, str]) -> bool:
    return walls["gvisor"].startswith("on")
