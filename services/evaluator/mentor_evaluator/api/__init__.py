"""What people call: evaluations over REST and gRPC, one implementation behind both, on top of jobs."""
