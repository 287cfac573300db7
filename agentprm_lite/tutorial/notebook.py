"""What a chapter shows: figures with alt text, stored results, the library's own source code."""

from __future__ import annotations

import base64
import gzip
import html
import inspect
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from transformers.utils.logging import disable_progress_bar

DRIVE = Path("/content/drive")
RESULTS = "https://raw.githubusercontent.com/agentprm-lite/agentprm-lite/main/results/"


class _OnThePage(logging.Handler):
    """The library's notes are printed: text on stderr is for what went wrong."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record))


logging.getLogger("agentprm_lite").addHandler(_OnThePage())
disable_progress_bar()  # of transformers: loading takes a moment here


def keep_on_drive() -> None:
    """On Colab: keep artifacts on the user's Google Drive, where a later session finds them.

    Asks for access, mounts the drive and names the folder agentprm-lite on it as the place of all
    artifacts. What a session that was cut off has computed is not computed again.

    Raises:
        RuntimeError: this is not Colab.
    """
    try:
        from google.colab import drive
    except ImportError:
        raise RuntimeError(
            "DRIVE is True, but this is not Colab; set AGENTPRM_ARTIFACTS to choose a folder"
        ) from None
    drive.mount(str(DRIVE))
    os.environ["AGENTPRM_ARTIFACTS"] = str(DRIVE / "MyDrive" / "agentprm-lite")
    print("artifacts:", os.environ["AGENTPRM_ARTIFACTS"])


def show_figure(fig: Any, *, alt: str, caption: str = "") -> None:
    """Show a Matplotlib figure with alt text and a caption, in the book and on Colab alike.

    Each panel and the legend is an image of its own: they stand side by side where there is room
    and below each other on a phone. No image is shown smaller than a pixel to the point; what is
    wider than the page scrolls.

    Args:
        fig: a matplotlib Figure; it is closed afterwards, so that it is not shown twice.
        alt: what a reader who cannot see the figure has to know, at least 10 characters.
        caption: what to look at, printed below the figure; empty for none.

    Raises:
        ValueError: if the alt text is too short to say anything.

    Example:
        >>> from matplotlib.figure import Figure
        >>> show_figure(Figure(), alt="x")
        Traceback (most recent call last):
        ...
        ValueError: alt: got 'x', expected at least 10 characters that say what the figure shows
    """
    if len(alt.strip()) < 10:
        raise ValueError(
            f"alt: got {alt!r}, expected at least 10 characters that say what the figure shows"
        )
    from IPython.display import display
    from matplotlib import pyplot

    images = []
    for k, (png, points) in enumerate(_pieces(fig)):
        # A third larger than a pixel to the point where the page has room.
        width = round(max(points, min(4 * points / 3, 660)))
        said = alt if not k else f"part {k + 1} of the figure: {alt}"
        images.append(
            f'<img alt="{html.escape(said)}" width="{width}" style="min-width:{points}px;'
            'max-width:100%;height:auto;background:white" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"/>'
        )
    pyplot.close(fig)
    figcaption = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    row = "display:flex;flex-wrap:wrap;gap:0 8px;align-items:flex-end;overflow-x:auto"
    page = f'<figure class="plot"><div style="{row}">{"".join(images)}</div>{figcaption}</figure>'
    display({"text/html": page, "text/plain": f"[figure: {alt}] {caption}".strip()}, raw=True)


def _pieces(fig: Any) -> Iterator[tuple[bytes, int]]:
    """PNG and width in points of a figure, or of each of its panels and its legend."""
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # the places stay while parts are cut out
    parts = [*fig.axes, *fig.legends] if len(fig.axes) > 1 else []
    inches = fig.dpi_scale_trans.inverted()
    boxes = [part.get_tightbbox().transformed(inches).padded(0.06) for part in parts]
    for k, box in enumerate(boxes or ["tight"]):
        for other in parts:
            other.set_visible(other is parts[k])
        png = io.BytesIO()
        fig.savefig(png, format="png", dpi=180, bbox_inches=box)
        yield png.getvalue(), int.from_bytes(png.getvalue()[16:20], "big") * 72 // 180


def stored(name: str) -> str | None:
    """A text file of the repository's results.

    It is read from the clone that the library lies in; an installation by pip, as on Colab, has no
    results and reads the file from the repository on the web.

    Args:
        name: of the file, such as ``"smoothing.json"``.

    Returns:
        What is in it; None if there is no such file, or (printed) the web can't be reached.
    """
    data = _kept(name)
    return None if data is None else data.decode("utf-8")


def _kept(name: str) -> bytes | None:
    folder = Path(__file__).resolve().parents[2] / "results"
    if folder.exists():
        path = folder / name
        return path.read_bytes() if path.exists() else None
    try:
        with urlopen(RESULTS + name, timeout=10) as reply:
            return bytes(reply.read())
    except HTTPError as error:
        if error.code != 404:
            print(f"{RESULTS}{name}: {error}")
    except OSError as error:
        print(f"{RESULTS}{name} can't be reached ({error})")
    return None


def stored_raw(world: str) -> dict[str, Any] | None:
    """The raw numbers of a world that ``agentprm regime`` has measured.

    Prints where they come from, or the command that makes them.

    Args:
        world: name of the environment.

    Returns:
        What :func:`agentprm_lite.study.regime.gather` gave; None if it is not stored.
    """
    data = _kept(f"regime/{world}.json.gz")
    if data is None:
        command = f"agentprm regime --profile study --worlds {world} --out results/regime.json"
        print(f"{world}: not stored yet; {command}")
        return None
    found: dict[str, Any] = json.loads(gzip.decompress(data))
    print(fill(f"{world}: {found['command']}", 72, break_on_hyphens=False))
    print(f"commit {found['commit']}, {found['date']}, {found['device']}")
    return found


def stored_study(profile: str) -> dict[str, Any] | None:
    """The numbers of a study that was run elsewhere and is kept in the repository's results.

    Prints where they come from, or the command that makes them.

    Args:
        profile: name of the study's profile.

    Returns:
        What :func:`agentprm_lite.study.study` gave; None if it is not stored.
    """
    name = f"study_{profile}.json"
    text = stored(name)
    if text is None:
        print(f"not stored yet; agentprm study --profile {profile} --out results/{name}")
        return None
    found: dict[str, Any] = json.loads(text)
    print(fill(f"{found['base']}: {found['command']}", 72, break_on_hyphens=False))
    print(f"commit {found['commit']}, {found['date']}, {found['device']}")
    return found


def show_source(*objects: Any) -> None:
    """Show the source code of functions or classes, as the library runs it.

    Args:
        *objects: functions, classes or modules with Python source.

    Raises:
        ValueError: if no object is given.

    Example:
        >>> show_source()
        Traceback (most recent call last):
        ...
        ValueError: show_source: got nothing to show
    """
    if not objects:
        raise ValueError("show_source: got nothing to show")
    from IPython.display import display

    code = "\n\n".join(inspect.getsource(item).rstrip() for item in objects)
    display({"text/markdown": f"```python\n{code}\n```", "text/plain": code}, raw=True)
