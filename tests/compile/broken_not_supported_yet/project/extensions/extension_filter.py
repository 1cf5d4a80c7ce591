"""Mine."""


def on_request(exchange):
    return None
