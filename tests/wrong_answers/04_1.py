"""Wrong answers to exercise 04.1."""


def wrong_literal(m, r, lam):
    """equation 12 taken literally"""
    labels = [r + m[-1]]
    for value in reversed(m[:-1]):
        labels.append((1 - lam) * value + lam * labels[-1])
    return labels[::-1]


def wrong_last_is_mixed(m, r, lam):
    """the last label is the outcome"""
    labels = [r]
    for value in reversed(m):
        labels.append((1 - lam) * value + lam * labels[-1])
    return labels[:0:-1]


def wrong_order(m, r, lam):
    """in reversed order"""
    labels = [r]
    for value in reversed(m[:-1]):
        labels.append((1 - lam) * value + lam * labels[-1])
    return labels


def wrong_weights(m, r, lam):
    """the weights are swapped"""
    labels = [r]
    for value in reversed(m[:-1]):
        labels.append(lam * value + (1 - lam) * labels[-1])
    return labels[::-1]


def wrong_next_value(m, r, lam):
    """one off: the label of turn t contains m[t]"""
    labels = [r]
    for value in reversed(m[1:]):
        labels.append((1 - lam) * value + lam * labels[-1])
    return labels[::-1]


def wrong_pvm(m, r, lam):
    """that is lam = 1, PVM"""
    return [r] * len(m)


def wrong_root_too(m, r, lam):
    """expected one label a turn"""
    return [r] * (len(m) + 1)
