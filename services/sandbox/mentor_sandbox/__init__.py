"""The sandbox service: runs tool calls, each in a process of its own behind walls that are always on.

Three kinds of process, and a folder for what each of them may believe; a module's first word says which of them runs it.

* the **server** (``surface``, ``supervise``, and the modules beside this one) faces callers and supervises from outside;
* the **zygote** (``zygote``) forks children, and is the parent of processes that have met hostile code;
* the **child** (``inside``) runs a caller's code, after the ``walls``.

They share ``walls`` and ``wire`` and nothing else (``make imports``). Kept empty on purpose: zygotes import it.
"""
