"""Exercise 13.1: ways to count. A docstring is a piece of the message it causes."""


def wrong_adapters_only(layers, r):
    """the layers' own weights stay in memory"""
    return sum(16 * r * (a + b) for a, b in layers)


def wrong_all_trained(layers, r):
    """the layers' own weights aren't trained"""
    return sum(16 * a * b for a, b in layers)


def wrong_base_trained_too(layers, r):
    """the layers' own weights aren't trained"""
    return sum(16 * (a * b + r * (a + b)) for a, b in layers)


def wrong_weights_only(layers, r):
    """gradients and moments are kept for the adapters"""
    return sum(4 * (a * b + r * (a + b)) for a, b in layers)


def wrong_one_moment(layers, r):
    """AdamW keeps two moments"""
    return sum(4 * a * b + 12 * r * (a + b) for a, b in layers)


def wrong_no_rank(layers, r):
    """the rank is 2"""
    return sum(4 * a * b + 16 * (a + b) for a, b in layers)


def wrong_first_layer(layers, r):
    """all layers have adapters"""
    a, b = layers[0]
    return 4 * a * b + 16 * r * (a + b)


def wrong_product(layers, r):
    """an adapter is two thin matrices"""
    return sum(4 * a * b + 16 * r * a * b for a, b in layers)
