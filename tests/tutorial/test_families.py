"""Every family goes the whole way; what its template can't do is said."""

from __future__ import annotations

import pytest

from agentprm_lite.tutorial.families import try_family
from agentprm_lite.tutorial.small_families import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_goes_the_whole_way(name: str) -> None:
    done = try_family(name)
    assert done.pop("sampling") in ("plain", "fast and plain")
    stages = ["SFT", "reward model", "scoring", "beam search", "PPO", "export"]
    assert done == dict.fromkeys(stages, True)
