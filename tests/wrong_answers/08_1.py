"""Exercise 08.1: ways to get GAE wrong. A docstring is a piece of the message it causes."""


def recursion(rewards, values, last_value, gamma, decay):
    out, a, next_value = [], 0.0, last_value
    for r, v in zip(reversed(rewards), reversed(values), strict=True):
        a = r + gamma * next_value - v + decay * a
        out.append(a)
        next_value = v
    return out[::-1]


def wrong_reversed(rewards, values, last_value, gamma, lam):
    """the first turn comes first"""
    return recursion(rewards, values, last_value, gamma, gamma * lam)[::-1]


def wrong_one_step(rewards, values, last_value, gamma, lam):
    """that is delta alone"""
    return recursion(rewards, values, last_value, gamma, 0.0)


def wrong_no_lambda(rewards, values, last_value, gamma, lam):
    """λ is missing"""
    return recursion(rewards, values, last_value, gamma, gamma)


def wrong_last_value_again(rewards, values, last_value, gamma, lam):
    """not the value before it once more"""
    return recursion(rewards, values, values[-1], gamma, gamma * lam)


def wrong_no_bootstrap(rewards, values, last_value, gamma, lam):
    """last_value is not used"""
    return recursion(rewards, values, 0.0, gamma, gamma * lam)


def wrong_no_gamma_in_the_recursion(rewards, values, last_value, gamma, lam):
    """γ discounts the next value and the next advantage"""
    return recursion(rewards, values, last_value, gamma, lam)
