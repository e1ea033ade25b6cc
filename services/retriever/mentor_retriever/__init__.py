"""The retriever service: passages of one corpus by BM25 or by dense vectors, over REST and gRPC."""
