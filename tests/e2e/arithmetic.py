"""Arithmetic as the player writes it, worked out."""

import math
import re

SIGNS = str.maketrans("−·×⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-**-0123456789")
KNOWN = {"max": max, "min": min, "sign": lambda z: float(z > 0) - float(z < 0), "root": math.sqrt}


def evaluate(written: str) -> float:
    """Work out an expression: superscripts are powers, and √ takes the number or the brackets behind it.

    >>> evaluate("−0.1 · (−2)² / (√9 + 10⁻¹)")
    -0.12903225806451613
    """
    text = re.sub(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda power: f"**({power[0]})", written).replace("^", "**")
    text = re.sub(r"\|([^|]+)\|", r"max(\1, -(\1))", text.translate(SIGNS))
    text = re.sub(r"√([\d.]+)", r"√(\1)", text).replace("√", "root")
    return float(eval(text, dict(KNOWN)))
