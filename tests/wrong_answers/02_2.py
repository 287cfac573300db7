"""Known wrong answers to exercise 02.2."""


def wrong_keeps_failures(episodes, per_task):
    """a failure was kept"""
    kept, seen = [], {}
    for task, actions, success in episodes:
        same = seen.setdefault(task, [])
        if actions not in same and len(same) < per_task:
            same.append(actions)
            kept.append((task, actions, success))
    return kept


def wrong_keeps_repetitions(episodes, per_task):
    """the same actions were kept twice"""
    kept, count = [], {}
    for task, actions, success in episodes:
        if success and count.get(task, 0) < per_task:
            count[task] = count.get(task, 0) + 1
            kept.append((task, actions, success))
    return kept


def wrong_no_limit(episodes, per_task):
    """more than per_task episodes of one task"""
    kept = []
    for task, actions, success in episodes:
        if success and (task, actions, success) not in kept:
            kept.append((task, actions, success))
    return kept


def wrong_limit_over_all_tasks(episodes, per_task):
    """the limit holds for each task on its own"""
    return wrong_no_limit(episodes, per_task)[:per_task]


def wrong_compares_across_tasks(episodes, per_task):
    """the same actions in another task are another episode"""
    kept, seen, count = [], [], {}
    for task, actions, success in episodes:
        if success and actions not in seen and count.get(task, 0) < per_task:
            seen.append(actions)
            count[task] = count.get(task, 0) + 1
            kept.append((task, actions, success))
    return kept


def wrong_failures_use_up_places(episodes, per_task):
    """a failure must not use up a place"""
    kept, seen = [], {}
    for task, actions, success in episodes:
        same = seen.setdefault(task, [])
        if actions not in same and len(same) < per_task:
            same.append(actions)
            if success:
                kept.append((task, actions, success))
    return kept


def wrong_grouped(episodes, per_task):
    """in the order in which they came"""
    tasks = dict.fromkeys(task for task, *_ in episodes)
    return [
        one
        for task in tasks
        for one in list(dict.fromkeys(e for e in episodes if e[0] == task and e[2]))[:per_task]
    ]


def wrong_last_ones(episodes, per_task):
    """the first per_task of each task"""
    kept = dict.fromkeys(e for e in episodes if e[2])
    places = {e: [o for o in kept if o[0] == e[0]].index(e) for e in kept}
    counts = {e[0]: sum(o[0] == e[0] for o in kept) for e in kept}
    return [e for e in kept if places[e] >= counts[e[0]] - per_task]


def wrong_stops_when_full(episodes, per_task):
    """the first per_task of each task"""
    kept = []
    for e in dict.fromkeys(e for e in episodes if e[2]):
        if sum(o[0] == e[0] for o in kept) == per_task:
            break
        kept.append(e)
    return kept


def wrong_repetitions_take_places(episodes, per_task):
    """a repetition must not use up a place"""
    kept, counts = [], {}
    for e in episodes:
        if e[2] and counts.get(e[0], 0) < per_task:
            counts[e[0]] = counts.get(e[0], 0) + 1
            if e not in kept:
                kept.append(e)
    return kept
