"""What every service shares: settings, health, readiness, metrics, auth, request ids, tracing, graceful drain.

A service is a ``Service`` built from its settings; ``main`` runs it from the command line, ``running`` in a test.
"""

from mentor.serving.http import create_app
from mentor.serving.main import main
from mentor.serving.runner import Server, running, serve
from mentor.serving.service import Readiness, RestBinding, RpcBinding, Service
from mentor.serving.settings import ServiceSettings, load_settings

__all__ = [
    "Readiness",
    "RestBinding",
    "RpcBinding",
    "Server",
    "Service",
    "ServiceSettings",
    "create_app",
    "load_settings",
    "main",
    "running",
    "serve",
]
