"""Exercise 07.1: ways to get a round wrong. A docstring is a piece of the message it causes."""


def best(pool, n):
    return sorted(pool, key=lambda path: -path[1])[:n]


def wrong_drops_the_finished(beam, expand, n):
    """it keeps its place in the beam"""
    return best([child for path in beam if not path[2] for child in expand(path)], n)


def wrong_expands_the_finished(beam, expand, n):
    """it keeps its score and is not expanded"""
    return best([child for path in beam for child in expand(path)], n)


def wrong_place_a_parent(beam, expand, n):
    """places belong to the beam, not to a parent"""
    pool = []
    for path in beam:
        pool += [path] if path[2] else best(expand(path), 1)
    return best(pool, n)


def wrong_sums_scores(beam, expand, n):
    """a path's score is that of its last step"""
    pool = [path for path in beam if path[2]]
    for path in beam:
        if not path[2]:
            pool += [(name, score + path[1], over) for name, score, over in expand(path)]
    return best(pool, n)


def wrong_keeps_parents(beam, expand, n):
    """gives way to its children"""
    pool = list(beam)
    for path in beam:
        if not path[2]:
            pool += expand(path)
    return best(pool, n)


def wrong_order(beam, expand, n):
    """the best path comes first"""
    pool = [path for path in beam if path[2]]
    for path in beam:
        if not path[2]:
            pool += expand(path)
    return best(pool, n)[::-1]


def wrong_changes_the_beam(beam, expand, n):
    """leave the argument beam as it is"""
    pool = []
    while beam:
        path = beam.pop()
        pool += [path] if path[2] else expand(path)
    return best(pool, n)


def wrong_size(beam, expand, n):
    """n says how many are kept"""
    pool = []
    for path in beam:
        pool += [path] if path[2] else expand(path)
    return best(pool, len(beam))
