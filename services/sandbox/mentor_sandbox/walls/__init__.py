"""The walls around a call, one file each.

Put up by the zygote (what all its children inherit) and by the child itself, before it reads a line of the caller's
code. The server only asks how they stand (``standing``, ``isolation``). They believe the kernel and nobody else: what
it refuses to put up ends the child. Standard library only, and nothing of the rest of the sandbox: every process
imports them.

Covered: what a call can read and write (Landlock: the interpreter and its packages; its own scratch directory), what it
can change of a file besides its content (seccomp: nothing), whom it can signal or trace (seccomp, Landlock scopes, a
user id of its own where the service has ids to give), the network (seccomp refuses sockets; for calls with an
allow-list, Landlock allows the one port of the sandbox's proxy), processes it can start (none), CPU, memory, processes,
files, their sizes and core dumps (rlimits), privileges (none to gain, none kept), what it inherits (no descriptor but
its own, no environment), and what it leaves behind (its scratch is removed, its process group and every orphan is
killed).

Not covered: the existence and size of files (Landlock does not hide ``stat``), side channels of shared hardware, bugs
of the kernel, what an allowed host does with a request, and another server on the proxy's port number of another
machine that a call with an allow-list can route to (Landlock knows ports, not hosts). For those put the whole service
into a locked-down container without routes, or under another kernel (gVisor). Registered tools share warm workers: the
operator's code is trusted not to attack the next call; a tool that runs what the model wrote must be registered with
``isolation: call``.
"""
