"""The local engine beside transformers' own generation."""
