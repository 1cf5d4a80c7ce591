"""What a worker takes on at a time: bounds on requests in flight, fixed or found by latency."""
