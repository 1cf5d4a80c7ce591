"""Counts that several gateways share in Redis or Valkey: `strict` asks it for each decision, `fast` tells it afterwards."""
