"""The sandbox service: runs tool calls, each in a process of its own behind walls that are always on.

Kept empty on purpose: the zygotes import parts of this package and must stay small.
"""
