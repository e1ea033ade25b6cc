"""What evaluating costs beside a bare client that makes the same calls."""
