"""Wrong answers to exercise 04.2."""


def wrong_textbook(m, r, lam, t):
    """bootstraps from m at the last turn"""
    to_go = len(m) - 1 - t
    total = lam**to_go * r
    for n in range(1, to_go + 1):
        total += (1 - lam) * lam ** (n - 1) * m[t + n]
    return total


def wrong_label(m, r, lam, t):
    """0.425 is the label"""
    to_go = len(m) - 1 - t
    return lam**to_go * r + sum((1 - lam) * lam**k * m[t + k] for k in range(to_go))


def wrong_weight_of_outcome(m, r, lam, t):
    """the weights sum to 0.875"""
    after = [*m[t + 1 : -1], r]
    return sum((1 - lam) * lam**n * value for n, value in enumerate(after))


def wrong_at_the_end(m, r, lam, t):
    """the return of the last turn is the outcome"""
    to_go = len(m) - 1 - t
    total = lam ** (to_go - 1) * r
    for n in range(1, to_go):
        total += (1 - lam) * lam ** (n - 1) * m[t + n]
    return total


def wrong_without_the_turn(m, r, lam, t):
    """after turn 1 of a failure"""
    to_go = len(m) - 1 - t
    later = sum((1 - lam) * lam ** (n - 1) * m[n] for n in range(1, to_go))
    return later + lam ** max(0, to_go - 1) * r
