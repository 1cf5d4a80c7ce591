"""What the steward hears of message brokers, for every room that listens to one: addresses, connections, forms of messages."""
