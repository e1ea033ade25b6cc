"""The embedded default: five services, their workers and a Redis as local processes, no root, no Docker."""
