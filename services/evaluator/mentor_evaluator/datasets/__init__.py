"""Data sets as files: where they lie, and how rows of the published shapes become questions. Suites are made of these."""
