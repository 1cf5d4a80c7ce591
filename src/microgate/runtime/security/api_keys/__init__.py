"""API keys: signed ones, ones kept in a book, and the service that issues them."""
