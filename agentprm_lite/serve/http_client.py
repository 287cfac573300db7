"""One HTTP request on a connection of its own, and every way it can go wrong.

No kept connection can go stale between two requests. Proxies of the system are not used.
"""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit


class ConnectionLost(Exception):
    """No connection, or it ended before the whole answer was there."""


class AnswerTimeout(Exception):
    """No whole answer in time."""


class NotHTTP(Exception):
    """What came isn't HTTP."""


class Address:
    """Where a server is.

    Args:
        url: such as ``"http://localhost:36001"``; a path in it goes before every request's.

    Raises:
        ValueError: not of this kind.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise ValueError(f"url: expected http://host:port or https://host:port, got {url!r}")
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path.rstrip("/")
        self.secure = parts.scheme == "https"
        self.url = url.rstrip("/")

    def exchange(
        self, method: str, path: str, body: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        """Send a request with a JSON body and read the whole answer.

        Args:
            method: ``"GET"`` or ``"POST"``.
            path: goes after the url's own path.
            body: JSON, or None.
            timeout: seconds to wait at any point, and for an answer's whole body.

        Returns:
            Status and body.

        Raises:
            ConnectionLost: see the class.
            AnswerTimeout: see the class.
            NotHTTP: see the class.
        """
        deadline = time.monotonic() + timeout
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=timeout)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request(method, self.path + path, body, headers)
            with connection.getresponse() as response:
                chunks = []
                while chunk := response.read1(65536):
                    chunks.append(chunk)
                    if time.monotonic() > deadline:  # a byte now and then: no read times out
                        raise TimeoutError
                if response.length:
                    raise ConnectionResetError(f"{response.length} bytes of the answer are missing")
                return response.status, b"".join(chunks)
        except TimeoutError as err:
            raise AnswerTimeout(f"no answer within {timeout:g} s") from err
        except (OSError, http.client.IncompleteRead) as err:
            raise ConnectionLost(f"{type(err).__name__}: {err}") from err
        except http.client.HTTPException as err:
            raise NotHTTP(f"not HTTP ({type(err).__name__}: {err})") from err
        finally:
            connection.close()


def pause(again: int) -> float:
    """Seconds to wait before a request is sent again.

    Args:
        again: how often it has been sent again already.

    Returns:
        0.2, 0.4, 0.8 and so on, at most 5.
    """
    return min(5.0, 0.2 * 2.0**again)


def short(value: object) -> str:
    """What came from a server, for an error's text.

    Args:
        value: anything.

    Returns:
        Its representation, cut after 200 characters.
    """
    shown = repr(value)
    return shown if len(shown) <= 200 else shown[:200] + "..."
