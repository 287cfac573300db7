"""Addresses of servers, and when to come back, whatever is written there."""

from __future__ import annotations

import pytest

from agentprm_lite.serve.address import check_url
from agentprm_lite.serve.calls import _retry_after


def test_addresses() -> None:
    assert check_url("http://h:8000/v1/") == "http://h:8000/v1"
    assert check_url("https://[::1]:80/v1") == "https://[::1]:80/v1"
    for wrong in (
        "",
        "h:80",
        "ftp://h",
        "http://:80",
        "http://h:99999",
        "http://h:x",
        "http://[::1",
    ):
        with pytest.raises(ValueError, match="expected http://host:port or https://host:port, got"):
            check_url(wrong)
    for wrong in ("http://h o/v1", "http://h\n"):
        with pytest.raises(ValueError, match="expected http://host:port or https://host:port, got"):
            check_url(wrong)


@pytest.mark.parametrize(
    "url",
    [
        *("http://bo:secret@h/v1", "bo:secret@h/v1", "http://bo:secret@", "http://bo:secret@[::1"),
        *("http://bo:secret@h:99999/v1", "http://h/v1?key=secret", "h/v1#secret"),
    ],
)
def test_no_secret_of_an_address_is_shown(url: str) -> None:
    with pytest.raises(ValueError, match="without name, password or query") as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["", "soon", "nan", "-5", "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Foo 2026"]
)
def test_a_time_to_wait_that_says_nothing(value: str) -> None:
    assert _retry_after({"retry-after": value}) == 0.0
