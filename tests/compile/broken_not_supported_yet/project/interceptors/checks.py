def validate(request):
    return None
