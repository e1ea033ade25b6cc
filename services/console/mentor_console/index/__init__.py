"""The index of trajectories: what the services' jobs committed, fetched by their APIs, kept as files, and found by SQLite.

``gather`` fetches and ``ingest`` reads (one thread, which alone writes); ``query`` finds, ``stored`` reads what was found.
Everything here can be made again from the services, except ``notes``, which people wrote.
"""
