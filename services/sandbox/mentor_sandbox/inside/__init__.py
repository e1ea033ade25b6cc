"""What runs inside: a child of a zygote, after the walls, with the caller's code in the same interpreter.

Runs as a user id of its own where the service has ids to give, else as the server's user with no rights; in an empty
environment, a directory of its own, behind Landlock and seccomp. Until the caller's code begins it may believe its
request; from then on nothing that it holds is its own, and nobody outside believes a word of it. It must hold no secret
and no other caller's data: everything imported here is in the caller's hands. Imports ``walls``, ``wire`` and the
standard library, never the server.
"""
