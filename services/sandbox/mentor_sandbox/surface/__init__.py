"""What faces callers: REST, gRPC, MCP, and the forms of other servers' clients (SandboxFusion, Jupyter).

Runs in the server, as its user, with its rights. Callers are known by the door of ``mentor.serving`` and believed in
nothing else: bodies are parsed here, and what is wrong with one is said by naming the field. A caller's code is text
here: it is never compiled, imported or run. Knows ``supervise``; has no process, file or socket of a child's.
"""
