"""Indexes: ways to find the rows of a corpus that answer a query. ``factory.open_index`` opens the one that is asked for."""
