"""Every family goes the whole way; what its template can't do is said."""

from __future__ import annotations

import pytest

from agentprm_lite.tutorial.families import FAMILIES, try_family

#: A last turn that is shown otherwise than earlier ones: the card's program would read another M.
OTHER_LAST_TURN = {"Qwen3", "Qwen3-Next", "Qwen3.5", "Qwen3.5, with images", "GLM-4"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_goes_the_whole_way(name: str) -> None:
    done = try_family(name)
    exported = done.pop("export")
    assert done.pop("sampling") in ("plain", "fast and plain")
    assert done == dict.fromkeys(["SFT", "reward model", "scoring", "beam search", "PPO"], True)
    if name in OTHER_LAST_TURN:
        assert "the template shows a last turn otherwise" in exported
    else:
        assert exported is True
