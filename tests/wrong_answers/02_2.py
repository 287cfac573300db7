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
