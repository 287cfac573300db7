"""ReAct turns: what is written, and which action is read."""

from __future__ import annotations

import pytest

from agentprm_lite.chat import TOO_MANY_ACTIONS, last_action, parse_action, react


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Thought:\nI need it.\n\nAction:\nget 1 stick", "get 1 stick"),
        ("Action: get 1 stick", "get 1 stick"),
        ("Action:get 1 stick\nand more", "get 1 stick"),
        ("Action:\n\n  get 1 stick  \n", "get 1 stick"),
        ("Action:\ncraft 1 a_b using [2 c], 1 d-e.", "craft 1 ab using 2 c, 1 de"),
        ("Action: get\t1   stick", "get1 stick"),  # a tab is deleted before spaces are collapsed
        ("Action: ☃é", ""),
        ("Action:", ""),
        ("Action:\n", ""),
        ("I give up", ""),
        ("action: get 1 stick", ""),
        ("", ""),
        ("Action: a\nAction: b", None),
        ("Action: a\n\nThought: no\n\nAction: a", None),
        # found once: the first "Action:" takes the rest of its line, line breaks before it included
        ("Action: a Action: b", "a Action b"),
        ("Action:\nAction: b", "Action b"),
    ],
)
def test_parse_follows_agentgyms_client(text: str, action: str | None):
    assert parse_action(text) == action


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Thought:\nRed.\n\nAction:\nsearch[red mug, 2.5 oz]", "search[red mug, 2.5 oz]"),
        ("Action: click[a]\nAction: click[b]", "click[b]"),
        ("Thought:\nFive go.\n\nAction:\n12 - 5 = 7\n", "12 - 5 = 7"),
        (" click[Buy Now] ", "click[Buy Now]"),  # without "Action:" the whole turn
        ("Action:", ""),
        ("", ""),
    ],
)
def test_last_action_keeps_every_character(text: str, action: str):
    assert last_action(text) == action


def test_react_is_what_parse_reads():
    text = react("I need 2 stick.", "get 2 stick")
    assert text == "Thought:\nI need 2 stick.\n\nAction:\nget 2 stick"
    assert parse_action(text) == "get 2 stick"


def test_reply_to_several_actions_is_agentgyms():
    assert TOO_MANY_ACTIONS == (
        "Error: Only one 'Action' is allowed per response. Please adjust your response."
    )
