"""What readers call worlds and judges, and which are compared: the only place where that stands."""

WORLDS = {"textcraft": "TextCraft", "babyai": "BabyAI", "webshop": "WebShop", "math": "Math"}

JUDGES = {
    "orm": "ORM",
    "pvm": "PVM",
    "mc_hard": "MC-hard",
    "mc_soft": "MC-soft",
    "pqm": "PQM",
    "agentprm": "AgentPRM",
    "oracle": "oracle",
    "majority": "majority",
    "fewest turns": "fewest turns",
    "random": "random agent",
}

COMPARED = ("orm", "pvm", "agentprm")  # kinds of reward models that a study trains


def in_words(text: str) -> str:
    """A text in which judges' names and minus signs are a reader's.

    >>> in_words("best of 64 - mc_hard")
    'best of 64 − MC-hard'
    """
    return " ".join(JUDGES.get(word, word) for word in text.replace(" - ", " − ").split(" "))
