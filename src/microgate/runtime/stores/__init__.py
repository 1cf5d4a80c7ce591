"""Redis or Valkey, asked from the request path: one pipelined connection to each node, bounded waits; it knows no policy."""
