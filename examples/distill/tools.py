"""A shop's tools: every public function becomes a tool; its annotations are the schema, its docstring the description."""


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
