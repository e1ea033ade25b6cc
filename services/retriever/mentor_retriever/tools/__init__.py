"""What operators run around the service: build, inspect, estimate, evaluate and compare indexes, export encoders."""
