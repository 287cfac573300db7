"""Known wrong answers to exercise 01.1."""


def wrong_never_restores(env, actions):
    """restore the environment after every action"""
    answers = []
    for action in actions:
        observation, reward, *_ = env.step(action)
        answers.append((observation, reward))
    return answers


def wrong_snapshot_inside_the_loop(env, actions):
    """restore the environment after every action"""
    answers = []
    for action in actions:
        saved = env.snapshot()
        env.restore(saved)
        observation, reward, *_ = env.step(action)
        answers.append((observation, reward))
    return answers


def wrong_leaves_the_environment_elsewhere(env, actions):
    """the environment is not in the state in which you got it"""
    saved, answers = env.snapshot(), []
    for action in actions:
        env.restore(saved)
        observation, reward, *_ = env.step(action)
        answers.append((observation, reward))
    return answers


def wrong_starts_anew(env, actions):
    """in its present state, not from the beginning of the task"""
    saved, answers = env.snapshot(), []
    for action in actions:
        env.reset(options={"goal": "sugar"})
        observation, reward, *_ = env.step(action)
        answers.append((observation, reward))
    env.restore(saved)
    return answers


def wrong_observations_only(env, actions):
    """pairs (observation, reward)"""
    saved, answers = env.snapshot(), []
    for action in actions:
        answers.append(env.step(action)[0])
        env.restore(saved)
    return answers
