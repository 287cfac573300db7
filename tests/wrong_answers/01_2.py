"""Known wrong answers to exercise 01.2."""


def wrong_best_instead_of_mean(env, actions):
    """the best action's value, not the mean"""
    saved, values = env.snapshot(), []
    for action in actions:
        env.restore(saved)
        _, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        values.append(reward if over else wrong_best_instead_of_mean(env, actions))
    env.restore(saved)
    return max(values)


def wrong_sum_instead_of_mean(env, actions):
    """divide by the number of actions"""
    saved, total = env.snapshot(), 0.0
    for action in actions:
        env.restore(saved)
        _, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        total += reward if over else wrong_sum_instead_of_mean(env, actions)
    env.restore(saved)
    return total


def wrong_one_turn_only(env, actions):
    """looks one turn ahead only"""
    saved, total = env.snapshot(), 0.0
    for action in actions:
        env.restore(saved)
        total += env.step(action)[1]
    env.restore(saved)
    return total / len(actions)


def wrong_restores_too_late(env, actions):
    """every action must be tried from the same state"""
    saved, total = env.snapshot(), 0.0
    for action in actions:
        _, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        total += reward if over else wrong_restores_too_late(env, actions)
    env.restore(saved)
    return total / len(actions)


def wrong_leaves_the_environment_elsewhere(env, actions):
    """the environment is not in the state in which you got it"""
    saved, total = env.snapshot(), 0.0
    for action in actions:
        env.restore(saved)
        _, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        total += reward if over else wrong_leaves_the_environment_elsewhere(env, actions)
    return total / len(actions)
