"""Exercise 11.1: ways to save too little. A docstring is a piece of the message it causes."""


def wrong_no_generator(world):
    """where the generator stands"""
    return {"rolls": list(world.rolls)}


def wrong_no_rolls(world):
    """what has been rolled is missing"""
    return {"rng": world.rng.getstate()}


def wrong_shared_list(world):
    """the list in your state is the world's own"""
    return {"rolls": world.rolls, "rng": world.rng.getstate()}


def wrong_object(world):
    """json.dumps cannot write your state"""
    return {"rolls": list(world.rolls), "rng": world.rng}


def wrong_draws(world):
    """saving has changed the world"""
    world.rng.random()
    return {"rolls": list(world.rolls), "rng": world.rng.getstate()}
