"""Exercise 07.2: ways to count tokens wrong. A docstring is a piece of the message it causes."""


def wrong_reads_the_last_reply(prompt, turns):
    """the reply to the last action is never read"""
    history, without = prompt, 0
    for action, reply in turns:
        without += history + action
        history += action + reply
    return history, without


def wrong_forgets_actions(prompt, turns):
    """holds the earlier actions"""
    history, without = prompt, 0
    for action, reply in turns:
        without += history + action
        history += reply
    return prompt + sum(a + r for a, r in turns) - turns[-1][1], without


def wrong_prompt_once(prompt, turns):
    """the prompt is computed again at every turn"""
    history, without = 0, 0
    for action, reply in turns:
        without += history + action
        history += action + reply
    return prompt + history - turns[-1][1], prompt + without


def wrong_swapped(prompt, turns):
    """first the number with a cache"""
    history, without = prompt, 0
    for action, reply in turns:
        without += history + action
        history += action + reply
    return without, history - turns[-1][1]
