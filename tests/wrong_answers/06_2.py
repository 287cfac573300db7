"""Exercise 06.2: ways to misread a curve. A docstring is a piece of the message it causes."""

import numpy as np


def wrong_no_interpolation(ns, curve, target):
    """interpolate, got 4"""
    for n, score in zip(ns, curve, strict=True):
        if score >= target:
            return n
    return float("inf")


def wrong_linear(ns, curve, target):
    """linearly over log N, not over N"""
    if max(curve) < target:
        return float("inf")
    return float(np.interp(target, curve, ns))


def wrong_last_point(ns, curve, target):
    """a target that is never reached"""
    return float(np.exp(np.interp(target, curve, np.log(ns))))


def wrong_falling(ns, curve, target):
    """a curve may fall again"""
    if max(curve) < target:
        return float("inf")
    order = np.argsort(curve)
    return float(np.exp(np.interp(target, np.array(curve)[order], np.log(ns)[order])))


def wrong_doubling(ns, curve, target):
    """ns need not begin at 1 or double"""
    if target <= curve[0]:
        return ns[0]
    for i in range(1, len(ns)):
        if curve[i] >= target:
            part = (target - curve[i - 1]) / (curve[i] - curve[i - 1])
            return ns[i - 1] * 2**part
    return float("inf")
