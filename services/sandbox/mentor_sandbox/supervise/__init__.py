"""Stateful sessions: one walled process each, cells one after the other, expiry, snapshots of files."""
