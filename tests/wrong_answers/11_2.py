"""Exercise 11.2: ways to miss a leak. A docstring is a piece of the message it causes."""


def told(world, actions):
    return [world.reset()[0], *(world.step(action)[0] for action in actions)]


def wrong_first_observation_only(worlds, actions):
    """the replies to the actions count too"""
    return None if len({world.reset()[0] for world in worlds}) == 1 else 0


def wrong_without_the_reset(worlds, actions):
    """index 0 is the observation of reset"""
    for i, replies in enumerate(zip(*(told(w, actions)[1:] for w in worlds), strict=True)):
        if len(set(replies)) > 1:
            return i
    return None


def wrong_two_worlds(worlds, actions):
    """compare all worlds"""
    rows = zip(*(told(world, actions) for world in worlds[:2]), strict=True)
    return next((i for i, replies in enumerate(rows) if len(set(replies)) > 1), None)


def wrong_last(worlds, actions):
    """the first one is asked for"""
    rows = zip(*(told(world, actions) for world in worlds), strict=True)
    return max((i for i, replies in enumerate(rows) if len(set(replies)) > 1), default=None)


def wrong_minus_one(worlds, actions):
    """without a leak the answer is None"""
    rows = zip(*(told(world, actions) for world in worlds), strict=True)
    return next((i for i, replies in enumerate(rows) if len(set(replies)) > 1), -1)
