"""Known wrong answers to exercise 03.2."""

import json


def wrong_starts_anew(jobs, content):
    """nothing that is in the file is played again"""
    return list(jobs)


def wrong_counts_the_cut_line(jobs, content):
    """a line without its line break is cut"""
    return jobs[len(content.splitlines()) :]


def wrong_trusts_the_parser(jobs, content):
    """a cut line can be valid JSON"""
    done = set()
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        done.add((record["task"], record["sample"]))
    return [job for job in jobs if job not in done]


def wrong_by_task(jobs, content):
    """samples of one task are different jobs"""
    done = {json.loads(line)["task"] for line in content.split("\n")[:-1]}
    return [job for job in jobs if job[0] not in done]


def wrong_order(jobs, content):
    """in the order of the jobs"""
    lines = [json.loads(line) for line in content.split("\n")[:-1]]
    done = {(record["task"], record["sample"]) for record in lines}
    return sorted(set(jobs) - done)


def wrong_counts_lines(jobs, content):
    """episodes may end in another order"""
    return jobs[content.count("\n") :]
