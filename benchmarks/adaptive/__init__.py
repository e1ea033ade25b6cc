"""The concurrency that is found for model servers, measured over real sockets."""
