"""Exercise 08.2: ways to get shaping wrong. A docstring is a piece of the message it causes."""


def change(rewards, before, after, alpha):
    return [r + alpha * (new - old) for r, new, old in zip(rewards, after, before, strict=True)]


def wrong_raw_q(rewards, q, root, final, alpha):
    """pay for its change"""
    return change(rewards, [0.0] * len(q), q, alpha)


def wrong_terminal_potential(rewards, q, root, final, alpha):
    """the potential after a final end is 0"""
    return change(rewards, [root, *q[:-1]], q, alpha)


def wrong_no_root(rewards, q, root, final, alpha):
    """before the first turn the potential is the root value"""
    return change(rewards, [0.0, *q[:-1]], [*q[:-1], 0.0 if final else q[-1]], alpha)


def wrong_cut_like_final(rewards, q, root, final, alpha):
    """a cut episode keeps its last potential"""
    return change(rewards, [root, *q[:-1]], [*q[:-1], 0.0], alpha)


def wrong_alpha_on_everything(rewards, q, root, final, alpha):
    """alpha weighs the process reward alone"""
    plain = change(rewards, [root, *q[:-1]], [*q[:-1], 0.0 if final else q[-1]], 1.0)
    return [alpha * r for r in plain]


def wrong_in_place(rewards, q, root, final, alpha):
    """leave the arguments as they are"""
    before = [root, *q[:-1]]
    if final:
        q[-1] = 0.0
    return change(rewards, before, q, alpha)


def wrong_only_a_success_is_final(rewards, q, root, final, alpha):
    """a failure is final, too"""
    after = [*q[:-1], 0.0 if final and rewards[-1] > 0 else q[-1]]
    return change(rewards, [root, *q[:-1]], after, alpha)
