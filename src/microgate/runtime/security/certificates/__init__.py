"""What a caller holds: certificates of clients, and tokens bound to a certificate or a key."""
