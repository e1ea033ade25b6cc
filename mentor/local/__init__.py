"""The embedded default: five services, a console, workers and a Redis as local processes, no root, no Docker."""
