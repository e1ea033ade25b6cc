"""The retriever beside the published servers, on one corpus, one index, one encoder and one machine."""
