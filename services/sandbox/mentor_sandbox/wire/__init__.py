"""The forms in which the processes talk: packets, frames, values. Facts for both sides, and no decisions.

Imported by all three, so it knows none of them: standard library only. Forms are believed by nobody: who reads what comes from
inside (``supervise.from_inside``) holds every length against what is there.
"""
