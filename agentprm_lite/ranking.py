"""The ranking loss of PQM, a reward model that orders steps instead of estimating chances.

Shape legend: B trajectories, T steps (one action each, padded on the right).
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentprm_lite._checks import check_float
from agentprm_lite.labels import Labels
from agentprm_lite.losses import Sizes

ZETA = 4.0  # ζ, the margin between right and wrong steps


def ranking_loss(q: Tensor, labels: Labels, sizes: Sizes | None = None) -> Tensor:
    """Comparative loss of PQM (Li and Li 2024, arXiv 2410.11287, equation 10).

    −log of e^{z_c} / (Σ_{c' ≤ c} e^{z_c'} + Σ_w e^{z_w + ζ}), averaged over the right steps c of a
    trajectory in their order, then over trajectories; w are its wrong steps, ζ = 4. The start is a
    right step before all others with z = 0; it has a term where there is a wrong step. So values
    rise along right steps and fall below the start by ζ on wrong ones. z is the logit of M, clipped
    to ±13.8. A step is right where its label is at least ½, that is with 0/1 outcomes and hard
    Monte Carlo labels where a rollout succeeds, as there.
    """
    check_float("q", q, labels.q.shape)
    if not labels.q_mask.any(dim=1).all():
        raise ValueError("labels has a row without a labelled step, expected at least one a row")
    right = labels.q_mask & (labels.q >= 0.5)
    wrong = labels.q_mask & (labels.q < 0.5)
    nothing = -1e4  # e to it is 0, and its gradient is a number
    z = torch.logit(q.masked_fill(~labels.q_mask, 0.5), eps=1e-6)
    above = torch.cat([torch.zeros_like(z[:, :1]), z.masked_fill(~right, nothing)], dim=1)
    below = torch.logsumexp((z + ZETA).masked_fill(~wrong, nothing), dim=1, keepdim=True)
    terms = torch.logaddexp(torch.logcumsumexp(above, dim=1), below) - above
    counted = torch.cat([wrong.any(dim=1, keepdim=True), right], dim=1)
    rows = terms.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1)
    return rows.sum() / (sizes or Sizes.of(labels)).rows
