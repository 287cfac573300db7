"""Exercise 09.1: ways to get it wrong. A docstring is a piece of the message that it causes."""

import re


def wrong_without_signs(text):
    """without #### there is no answer"""
    numbers = re.findall(r"\d+", text)
    return int(numbers[-1]) if numbers else None


def wrong_first_number(text):
    """12 is the first number of the text"""
    return int(re.findall(r"\d+", text)[0]) if "####" in text else None


def wrong_whole_rest(text):
    """the answer ends with its line"""
    numbers = re.findall(r"\d+", text.partition("####")[2])
    return int(numbers[-1]) if numbers else None


def wrong_next_line(text):
    """no number in the line of ####"""
    match = re.search(r"####\s*(\d+)", text)
    return int(match[1]) if match else None


def wrong_last_signs(text):
    """the first #### counts"""
    _, found, rest = text.rpartition("####")
    match = re.search(r"\d+", rest.partition("\n")[0])
    return int(match[0]) if found and match else None


def wrong_comma(text):
    """commas group thousands"""
    match = re.search(r"\d+", text.partition("####")[2].partition("\n")[0])
    return int(match[0]) if match else None


def wrong_sign(text):
    """the sign counts"""
    match = re.search(r"\d[\d,]*", text.partition("####")[2].partition("\n")[0])
    return int(match[0].replace(",", "")) if match else None


def wrong_decimals(text):
    """decimals count"""
    match = re.search(r"-?\$?\d[\d,]*", text.partition("####")[2].partition("\n")[0])
    return int(re.sub("[$,]", "", match[0])) if match else None
