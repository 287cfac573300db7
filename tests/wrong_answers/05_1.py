"""Wrong answers to exercise 05.1."""

import numpy as np


def wrong_without_half(m, labels, beta):
    """both losses carry a factor 1/2"""
    m, labels = np.array(m), np.array(labels)
    l_a = np.mean((np.diff(m) - np.diff(labels)) ** 2)
    return np.mean((m - labels) ** 2) + beta * l_a


def wrong_sum(m, labels, beta):
    """the mean of its terms, not the sum"""
    m, labels = np.array(m), np.array(labels)
    l_a = 0.5 * np.sum((np.diff(m) - np.diff(labels)) ** 2)
    return 0.5 * np.sum((m - labels) ** 2) + beta * l_a


def wrong_without_root(m, labels, beta):
    """the root is missing"""
    m, labels = np.array(m[1:]), np.array(labels[1:])
    l_a = 0.5 * np.mean((np.diff(m) - np.diff(labels)) ** 2)
    return 0.5 * np.mean((m - labels) ** 2) + beta * l_a


def wrong_without_beta(m, labels, beta):
    """beta is not used"""
    m, labels = np.array(m), np.array(labels)
    l_a = 0.5 * np.mean((np.diff(m) - np.diff(labels)) ** 2)
    return 0.5 * np.mean((m - labels) ** 2) + l_a


def wrong_sign(m, labels, beta):
    """a sign in L_A"""
    m, labels = np.array(m), np.array(labels)
    l_a = 0.5 * np.mean((np.diff(m) + np.diff(labels)) ** 2)
    return 0.5 * np.mean((m - labels) ** 2) + beta * l_a


def wrong_to_zero(m, labels, beta):
    """not to 0"""
    m, labels = np.array(m), np.array(labels)
    l_a = 0.5 * np.mean(np.diff(m) ** 2)
    return 0.5 * np.mean((m - labels) ** 2) + beta * l_a
