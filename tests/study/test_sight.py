"""What a reader can know in BabyAI, by hand and along the expert's own episodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentprm_lite.env import make_env
from agentprm_lite.hub import load_chat
from agentprm_lite.sampling import SamplingConfig
from agentprm_lite.study.sight import MOST, distances, needed, ranked, read_late
from agentprm_lite.tutorial import base
from agentprm_lite.tutorial.corpus import part_tasks
from agentprm_lite.worlds import demonstrate
from agentprm_lite.worlds.babyai import shown


@pytest.fixture(scope="module")
def episodes():
    tasks = part_tasks("babyai", "practice")[::20]
    config = SamplingConfig(max_rounds=12, max_context=10_000)
    return demonstrate(load_chat(base.folder()), tasks, config)


def test_the_expert_comes_nearer_by_one_a_turn(episodes):
    assert len(episodes) > 8
    for trajectory in episodes:
        found = distances(trajectory)
        assert [step[0] for step in found] == list(reversed(range(trajectory.num_steps)))
        assert all(before <= after for _, before, after in found)
    assert {tuple(step[1:]) for t in episodes for step in distances(t)} == {(0, 0), (0, 1), (1, 1)}


def test_a_thing_is_shown_when_its_cell_is_and_not_before():
    env = make_env("babyai")
    env.reset(options={"index": 4 + 40 * 3})  # level 5: go to a thing in one room
    state = env.snapshot()
    everywhere = range(400)
    assert shown(state, everywhere)
    assert not shown(state, ())
    assert 1 <= needed(state) <= MOST


def test_another_world_is_no_record(episodes):
    t = next(t for t in episodes if t.num_steps > 1)
    wrong = replace(t, observations=(t.observations[0], "Nothing.", *t.observations[2:]))
    with pytest.raises(ValueError, match=r"the record says 'Nothing\.'"):
        distances(wrong)


def test_a_late_reader_has_the_reply_and_not_the_next_turn(episodes):
    t = next(t for t in episodes if t.num_steps > 2)
    late = read_late(t)
    assert late.num_steps == t.num_steps
    assert late.score_positions[-1] == t.score_positions[-1]
    for read, said, (start, _) in zip(
        late.score_positions[:-1], t.score_positions[:-1], t.spans[1:], strict=True
    ):
        assert said < read == start - 1


def test_who_reads_ranks_by_what_was_shown():
    """After the second turn one attempt is 1 turn from its end, which is won, and one 9 turns,
    which is lost. The first shows its thing before the reply, or with it, or not at all."""
    won, lost, soon, short = (
        [y, int(y), 0, [5] * n] for y, n in ((1.0, 4), (0.0, 4), (1.0, 3), (1.0, 1))
    )

    def raw(before: int, after: int) -> dict:
        high = [500, 500, 800, 800, 800]
        near, far = [[3, 0, 0], [1, before, after], [0, 1, 1]], [[9, 0, 0]] * 3
        return {
            "families": [0, 1],
            "candidates": [[won, lost, short], [soon, lost, lost]],
            "values": {
                "pvm": [[[[500] * 5, [500] * 5, [500] * 2], [[500] * 4, [500] * 5, [500] * 5]]]
            },
            "sight": {
                "commit": "c",
                "turns": [[near, far, [[0, 1, 1]]], [near, far, far]],
                "late": [[[high, [500] * 5, [500] * 2], [high[:-1], [500] * 5, [500] * 5]]],
            },
        }

    for before, after, expected in ((1, 1, (1, 1, 1)), (0, 1, (0.5, 1, 1)), (0, 0, (0.5, 0.5, 1))):
        found = ranked(raw(before, after))
        assert found["fixed_turn"] == 2
        assert tuple(found[name][0] for name in ("turn", "reply", "world")) == expected
        assert found["late"]["auroc_by_turn"]["2"][0] == 1.0
        # at 3 of the 5 turns with outcome 1, of 14 before the last, the late M is 0.8 and not 0.5
        more = found["late"]["explains_more"][0]
        assert more == pytest.approx(3 * (0.25 - 0.04) / (5 * 9 / 14), abs=1e-4)
    assert ranked({}) is None
