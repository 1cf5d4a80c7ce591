"""The addresses of the authorization server: those of django-oauth-toolkit, below `/o/`."""

from django.urls import include, path

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
