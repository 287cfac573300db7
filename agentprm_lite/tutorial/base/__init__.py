"""The small base that the library ships: one model for all four worlds, a Hugging Face folder.

``agentprm pretrain`` made it; README.md and card.json beside this file say how.
"""

from __future__ import annotations

import json
from pathlib import Path

from agentprm_lite.hub import checksum

CARD = "card.json"
VERDICTS = (" right", " no")
"""What a checker says after a turn: right as long as nothing wrong stands."""


def folder(name: str = "") -> Path:
    """Folder of the small base; of ``"checker"``, which went on from it by checking sums, or of
    ``"shop_checker"``, which did so by checking purchases.

    Their files are those of their cards.

    Args:
        name: empty, ``"checker"`` or ``"shop_checker"``.

    Returns:
        What ``load_policy`` and ``load_chat`` take.

    Raises:
        ValueError: a file is missing, or another than the card says.
    """
    place = Path(__file__).parent / name
    check(place)
    return place


def check(place: Path) -> None:
    """Compare the files of a base with the checksums in its card."""
    said = json.loads((place / CARD).read_text())["files"]
    for name, expected in said.items():
        path = place / name
        found = checksum(path) if path.exists() else "no file"
        if found != expected:
            raise ValueError(f"{path}: expected SHA-256 {expected}, found {found}; install again")
