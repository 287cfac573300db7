"""Which property of a reward model goes with what it wins in a search? From the files of C2 and C8.

Exploratory: six reward models a world, all trained on the same data, so a correlation of ranks has
six points. No verdict follows from it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

#: Properties on the pool, and whether a larger number is better.
PROPERTIES = {
    "auroc_within_half": True,
    "sibling_accuracy": True,
    "brier_half": False,
    "ece_half": False,
}


def judges(c2: dict[str, Any], c8: dict[str, Any]) -> pd.DataFrame:
    """One row a world and reward model: its properties, and its gain from one sample to the most.

    Args:
        c2: what :func:`agentprm_lite.study.report.claim` gave for C2.
        c8: the same for C8.

    Returns:
        Columns ``world``, ``kind``, ``gain`` (in reward) and :data:`PROPERTIES`; NaN where a
        property can't be told. Worlds that only one of the two has are left out.
    """
    rows = []
    for env in c2["worlds"].keys() & c8["worlds"].keys():
        curves = c2["worlds"][env]["shown"]["best_of_n"]
        for kind, quality in c8["worlds"][env]["shown"]["values"].items():
            found = {name: quality[name] for name in PROPERTIES}
            within = found["auroc_within_half"]  # [mean, low, high]
            found["auroc_within_half"] = within[0] if within else None
            gain = curves[kind][-1][0] - curves[kind][0][0]
            rows.append({"world": env, "kind": kind, "gain": gain, **found})
    columns = ["world", "kind", "gain", *PROPERTIES]
    frame = pd.DataFrame(rows, columns=columns).sort_values(["world", "kind"], ignore_index=True)
    return frame.astype(dict.fromkeys(columns[2:], float))


def rank_correlations(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each property with the gain, world by world.

    Args:
        frame: from :func:`judges`.

    Returns:
        A row a property, a column a world: 1 if the better a reward model is by this property, the
        more it wins; NaN where either doesn't differ or can't be told.
    """
    found = {}
    for world, part in frame.groupby("world"):
        gain = part["gain"].rank()
        found[world] = {
            name: (part[name] if better else -part[name]).rank().corr(gain)
            for name, better in PROPERTIES.items()
        }
    return pd.DataFrame(found, index=list(PROPERTIES))
