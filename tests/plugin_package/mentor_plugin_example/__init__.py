"""One plug-in of every kind, from outside the repository."""
