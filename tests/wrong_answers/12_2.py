"""Exercise 12.2: ways to join means. A docstring is a piece of the message it causes."""


def wrong_average_of_means(parts):
    """the average of means"""
    return sum(mean for mean, _ in parts) / len(parts)


def wrong_sum(parts):
    """divide by the number of positions"""
    return sum(mean * count for mean, count in parts)


def wrong_divided_by_ranks(parts):
    """the average of means"""
    return sum(mean * count for mean, count in parts) / len(parts)


def wrong_two_ranks(parts):
    """take all ranks"""
    kept = parts[:2]
    return sum(m * n for m, n in kept) / sum(n for _, n in kept)


def wrong_nan(parts):
    """a rank without positions counts for nothing"""
    return sum(m * n for m, n in parts) / sum(n for _, n in parts)


def wrong_division_by_zero(parts):
    """don't divide by 0"""
    kept = [(m, n) for m, n in parts if n]
    return sum(m * n for m, n in kept) / sum(n for _, n in kept)


def wrong_nothing(parts):
    """no rank has a position: None"""
    kept = [(m, n) for m, n in parts if n]
    return sum(m * n for m, n in kept) / max(1, sum(n for _, n in kept))


def wrong_zero_is_nothing(parts):
    """a mean of 0 is a mean"""
    kept = [(m, n) for m, n in parts if n]
    total = sum(m * n for m, n in kept)
    return total / sum(n for _, n in kept) if total else None
