"""Which application has subscribed to which API, from the token, a file or an event hub."""
