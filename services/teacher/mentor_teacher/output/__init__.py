"""A data set on disk: one module for each kind of file in its folder (``docs/teacher.md``)."""
