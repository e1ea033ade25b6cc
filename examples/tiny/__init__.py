"""A tiny world made from nothing: problems, corpus, tokenizer, and the student and teacher that were pre-trained on it."""
