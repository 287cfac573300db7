"""Known wrong answers to exercise 10.2."""


def mean(xs):
    return sum(xs) / len(xs)


def wrong_plain_gain(chosen, one, oracle):
    """divide by the headroom"""
    return mean(chosen) - mean(one)


def wrong_ratio_of_means(chosen, one, oracle):
    """subtract one sample's success"""
    return mean(chosen) / mean(oracle)


def wrong_never_negative(chosen, one, oracle):
    """a harmful judge is negative"""
    room = mean(oracle) - mean(one)
    return max(0.0, (mean(chosen) - mean(one)) / room) if room > 0 else None


def wrong_zero_without_headroom(chosen, one, oracle):
    """no headroom: None"""
    room = mean(oracle) - mean(one)
    return (mean(chosen) - mean(one)) / room if room > 0 else 0.0
