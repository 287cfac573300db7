"""Known wrong answers to exercise 02.1."""


def wrong_all_tokens(logprobs, spans):
    """counts the prompt and the observations"""
    return -sum(logprobs) / len(logprobs)


def wrong_mean_of_means(logprobs, spans):
    """a mean of the turns' means"""
    means = [sum(logprobs[a:b]) / (b - a) for a, b in spans]
    return -sum(means) / len(means)


def wrong_sum(logprobs, spans):
    """a sum: divide by the number of action tokens"""
    return -sum(x for a, b in spans for x in logprobs[a:b])


def wrong_sign(logprobs, spans):
    """a loss is positive"""
    own = [x for a, b in spans for x in logprobs[a:b]]
    return sum(own) / len(own)


def wrong_shifted_by_one(logprobs, spans):
    """shifted by one"""
    own = [x for a, b in spans for x in logprobs[a - 1 : b - 1]]
    return -sum(own) / len(own)


def wrong_end_included(logprobs, spans):
    """end is not part of the turn"""
    own = [x for a, b in spans for x in logprobs[a : b + 1]]
    return -sum(own) / len(own)
