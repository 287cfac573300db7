"""BabyAI's levels and tasks as AgentGym numbers them: index -> (level, seed), train and test."""

from __future__ import annotations

import functools

from agentprm_lite.env import Split

LEVEL_COUNT = 40
LARGEST_INDEX = 39_999
VARIANT_SEEDS = 1000
"""A variant k > 0 adds this many times k to the seed."""

LEVEL_NAMES: dict[int, str] = {
    1: "GoToRedBallGrey",
    2: "GoToRedBall",
    3: "GoToRedBallNoDists",
    4: "GoToObjS4",  # AgentGym asks for GoToObjS6-v0, whose room had size 4
    5: "GoToLocalS8N7",
    6: "GoToObjMazeS7",
    7: "GoToImpUnlock",
    8: "GoToSeqS5R2",
    9: "GoToRedBlueBall",
    10: "GoToDoor",
    11: "GoToObjDoor",
    12: "Open",
    13: "OpenRedDoor",
    14: "OpenDoorLoc",
    15: "OpenRedBlueDoorsDebug",
    16: "OpenDoorsOrderN4Debug",
    17: "Pickup",
    18: "UnblockPickup",
    19: "PickupLoc",
    20: "PickupDistDebug",
    21: "PickupAbove",
    22: "PutNextLocalS6N4",
    23: "PutNextS7N4Carrying",
    24: "Unlock",
    25: "UnlockLocalDist",
    26: "KeyInBox",
    27: "UnlockPickupDist",
    28: "BlockedUnlockPickup",
    29: "UnlockToUnlock",
    30: "ActionObjDoor",
    31: "FindObjS7",
    32: "KeyCorridorS6R3",
    33: "OneRoomS20",
    34: "MoveTwoAcrossS8N9",
    35: "SynthS5R2",
    36: "SynthLoc",
    37: "SynthSeq",
    38: "MiniBossLevel",
    39: "BossLevel",
    40: "BossLevelNoUnlock",
}
"""Number of a level in AgentGym -> name in minigrid."""

# Seeds of each level. AgentGym chose them by which tasks a solver finished: there is no rule.
_TRAIN = {
    1: "0-23,25-45",
    2: "0-7,9-12,14-20,22,25-28,31,34-39,41-43,45-47,49,51-57",
    3: "0-14,16-40,42-46",
    4: "0-11,13-18,20,22-28,30-42,44-48,51",
    5: "0-44",
    6: (
        "2,4,6,8,10,13-14,16,32,37,40,46,48,51-52,54-56,60,62-63,65,68-71,73-74,76-78,"
        "81,83,86-87,90,92,94,98-99,104-105,107,109,112"
    ),
    7: (
        "2-3,7-10,12-13,15,20-21,36-40,42-43,45,48,51-53,59-60,64,67,72,79,93-94,103,"
        "108,111,113,121,127,129-130,136,155,158,161,181,184"
    ),
    8: (
        "0,6,10,14-18,21,25-26,32-33,35-37,39,41-42,44-45,47,51-53,56,59,62,64-68,71-72,"
        "75,78-80,82-83,86-87,90-91"
    ),
    9: "0-23,25-42,44-46",
    10: "1,3-4,7-9,12,27-28,30,32,36-37,41-46,48-49,51-59,61,63-65,68,71,76-82,85,87",
    11: "0-25,28-29,31,33,35,37-39,43-45,48-49,52,54-55,57,61,65",
    19: "0-19,53-59,61-67,70,73,77,83-86,88-89,91-92",
    20: "0,3-5,26-29,33-34,37-40,42,44-45,47,49-51,53-61,64-66,68-70,74-75,77-78,80-84",
    21: "0-5,8-13,15-17,19-38,40-48,52",
    30: (
        "1,3-4,6,11,13,17-18,21-22,25,30,32,34-35,39,42-44,48-49,51-53,65-66,69-71,"
        "76-77,79-80,85,88-89,92,94-95,99,101,104,107-108,111"
    ),
    31: (
        "0-1,3-4,8-9,11-14,16-20,22-26,29-30,32,34-37,39-40,42-45,47,54,57,59,63,66,"
        "68-69,71-72,75-76"
    ),
    33: (
        "0,2-4,6-8,11-12,15-16,22-26,29,32-35,42-44,47,52,56-58,61-62,66,69,76-78,80,86,"
        "90,93-94,98,100,104,107"
    ),
    36: (
        "1,9,15,17,24,29-31,33,36-37,45,50,52,57,61,75-76,82,89,98-99,117,121,123,131,"
        "141,156,179,184,187,191,194,197,207,215,224,227,229,239-240,246,255,266,278"
    ),
}
_TEST = {
    1: "46-49,51",
    2: "59-63",
    3: "47-49,51-52",
    4: "52,54-57",
    5: "45-49",
    6: "114,116-117,119-120",
    7: "190,193,199,202-203",
    8: "93,96-99",
    9: "47-48,52-53,55",
    10: "89,93,95-96,99",
    11: "69,71-72,74,78",
    19: "96-97,99,101-102",
    20: "85-88,91",
    21: "53-56,59",
    30: "113,115,122,125-126",
    31: "78,82,88,93-94",
    33: "109,111,115,118,152",
    36: "284,300,313,318,321",
}

SPLIT_LEVELS = tuple(_TEST)
"""The 18 levels that AgentGym's splits use."""


def place_of(index: int, variant: int = 0) -> tuple[int, int]:
    """Level and seed of a task.

    Args:
        index: AgentGym's number of the task (`data_idx`), 0 to 39,999.
        variant: 0 for that task, k > 0 for another seed of its level.

    Returns:
        Number of the level and seed.

    Raises:
        ValueError: There is no such task.

    Example:
        >>> place_of(1882), place_of(1882, variant=2)
        ((3, 47), (3, 2047))
    """
    if not 0 <= index <= LARGEST_INDEX:
        raise ValueError(f"index: expected 0 to {LARGEST_INDEX}, got {index}")
    if variant < 0:
        raise ValueError(f"variant: expected 0 or more, got {variant}")
    return index % LEVEL_COUNT + 1, index // LEVEL_COUNT + VARIANT_SEEDS * variant


@functools.cache
def indices(split: Split) -> tuple[int, ...]:
    """Indices of a split in rising order.

    Args:
        split: "train" or "test".

    Returns:
        810 or 90 numbers.

    Example:
        >>> indices("test")[:3]
        (1804, 1840, 1844)
    """
    table = _TRAIN if split == "train" else _TEST
    found = []
    for level, seeds in table.items():
        for run in seeds.split(","):
            first, _, last = run.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            found += [seed * LEVEL_COUNT + level - 1 for seed in numbers]
    return tuple(sorted(found))
