"""Text that wants to be more than text: attacks that a model, a tool or a file can put into whatever a page shows."""
