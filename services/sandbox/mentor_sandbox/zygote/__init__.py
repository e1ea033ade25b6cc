"""The parent of what runs inside: a warm interpreter that forks children and reaps what they leave.

Runs as a process of its own and the server's user, behind the walls that calls inherit; where calls get user ids it
keeps the few capabilities for that, else none. It believes its server (a configuration, then fixed-size packets) and
asks the kernel about its children. It must never believe a child, nor hear one: it closes a child's descriptors when it
has forked, reads no request and no result, and runs no caller's code, so that nothing of one call lies in the memory
that the next one inherits. Imports ``inside`` (to warm it up), ``walls``, ``wire``, the standard library, and by name
what calls shall find warm.
"""
