"""The paper's 12 math functions, with exactly its names and parameters.

This module is plain standard-library Python: its source is sent to the sandbox as the environment in which calls run,
and the published ``env`` column of training data is written from it.
"""

import math


def add(firstNumber: float, secondNumber: float) -> float:
    """Add two numbers."""
    return firstNumber + secondNumber


def subtract(minuend: float, subtrahend: float) -> float:
    """Subtract the subtrahend from the minuend."""
    return minuend - subtrahend


def multiply(firstNumber: float, secondNumber: float) -> float:
    """Multiply two numbers."""
    return firstNumber * secondNumber


def divide(numerator: float, denominator: float) -> float:
    """Divide the numerator by the denominator."""
    return numerator / denominator


def sum_numbers(numbers: list[float]) -> float:
    """Add up a list of numbers."""
    return sum(numbers)


def floor(number: float) -> int:
    """Round a number down to an integer."""
    return math.floor(number)


def ceil(number: float) -> int:
    """Round a number up to an integer."""
    return math.ceil(number)


def round_number(number: float) -> int:
    """Round a number to the nearest integer."""
    return round(number)


def power(base: float, exponent: float) -> float:
    """Raise the base to the exponent."""
    return base**exponent


def sqrt(number: float) -> float:
    """Square root of a number."""
    return math.sqrt(number)


def abs_value(number: float) -> float:
    """Absolute value of a number."""
    return abs(number)


def modulo(dividend: float, divisor: float) -> float:
    """Remainder of the dividend divided by the divisor."""
    return dividend % divisor
