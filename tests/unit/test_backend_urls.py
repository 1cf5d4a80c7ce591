"""Which URLs can be a backend's."""

from __future__ import annotations

import pytest

from microgate.backend_urls import url_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "http://a.example:8080/v1/",
        "https://a.example/x?y=z&w",
        "http://127.0.0.1:1",
        "http://[::1]:8080/",
        "HTTPS://A.example",
        "https://xn--caf-dma.example",
        "https://a.example/%20(a,b)~;x=1",
        "unix:/run/app.sock",
    ],
)
def test_usable_urls(url):
    assert url_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "", "a.example", "//a.example", "/v1", "https:", "https://", "https:///x", "ftp://a.example", "ws://a.example",
        "https://a.example:0", "https://a.example:x", "https://a.example:70000", "https://[::1", "https://a.example/#f",
        "https://a.example/%", "https://a.example/%zz", "https://a b.example", "https://a.example/\n", "https://é.example",
        "https://{host}/", "unix:app.sock", "unix://run/app.sock", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_other_urls_are_explained(url):
    assert url_problem(url)
