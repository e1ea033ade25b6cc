"""The teacher: solves a question set with tools through any OpenAI-compatible model, and keeps what it got right."""
