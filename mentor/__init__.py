"""MENTOR: distil a large model's tool use into a small one (arXiv 2510.18383).

The package is the library that the five services share. Its core (``trajectory``, ``errors``, ``tools``,
``rollout``, ``rewards``) needs pydantic, httpx and grpcio only; heavier parts are extras named in ``pyproject.toml``.
"""

__version__ = "0.1.0"
