"""Server. gRPC: messages into calls, results into messages."""
