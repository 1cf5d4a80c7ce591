"""Nobody names it."""


def add_header(request):
    return (request
