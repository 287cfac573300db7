"""Comparisons of judges over many tasks and seeds, with intervals, as plain data."""

from agentprm_lite.study.baselines import (
    at_end,
    fewest_turns,
    likelihood,
    majority,
    random_choice,
)
from agentprm_lite.study.compare import (
    auroc_by_part,
    beam_table,
    compute_multiple,
    compute_multiple_interval,
    families,
    first,
    half,
    kind_curves,
    powers_of_two,
    task_means,
)
from agentprm_lite.study.curves import curves
from agentprm_lite.study.learning import (
    by_epoch,
    by_rollouts,
    curves_named,
    gain,
    learned,
    losses_compared,
)
from agentprm_lite.study.measures import (
    Interval,
    bootstrap_interval,
    brier,
    ece,
    reliability,
)
from agentprm_lite.study.names import JUDGES, WORLDS, in_words
from agentprm_lite.study.provenance import provenance
from agentprm_lite.study.regime import read_raw, regime, summary
from agentprm_lite.study.tables import PARTS, study, world_study

__all__ = [
    "JUDGES",
    "Interval",
    "PARTS",
    "WORLDS",
    "at_end",
    "auroc_by_part",
    "beam_table",
    "bootstrap_interval",
    "brier",
    "by_epoch",
    "by_rollouts",
    "compute_multiple",
    "compute_multiple_interval",
    "curves_named",
    "ece",
    "curves",
    "families",
    "fewest_turns",
    "first",
    "gain",
    "half",
    "in_words",
    "kind_curves",
    "likelihood",
    "majority",
    "learned",
    "losses_compared",
    "powers_of_two",
    "provenance",
    "random_choice",
    "read_raw",
    "regime",
    "reliability",
    "study",
    "summary",
    "task_means",
    "world_study",
]
