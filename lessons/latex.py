r"""A formula in LaTeX as text for a terminal, in the signs a keyboard lacks.

>>> plain(r"\hat m = \frac{m}{1-\beta_1^t}")
'm̂ = m/(1−β₁ᵗ)'
"""

import re
import unicodedata

_ABOVE = dict(zip("0123456789+−()tknijT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵗᵏⁿⁱʲᵀ", strict=True))
_BELOW = dict(zip("0123456789+−()tknijm", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₜₖₙᵢⱼₘ", strict=True))
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_NAMES = ("mathrm", "text", "operatorname", "mathbf")  # of a word set upright
_SIGNS = dict(
    re.findall(
        r"(\w+) (\S)",
        "alpha α beta β gamma γ delta δ Delta Δ epsilon ε varepsilon ε eta η theta θ lambda λ mu μ rho ρ "
        "sigma σ tau τ nabla ∇ partial ∂ sum Σ infty ∞ dots … ldots … leftarrow ← to → approx ≈ le ≤ "
        "ge ≥ neq ≠ in ∈ pm ± cdot · times × odot ⊙",
    )
) | {"quad": "  ", "qquad": "    ", "left": "", "right": ""}


def plain(formula: str) -> str:
    """Return the formula as one line; a command that is not known stays as its name."""
    tokens = re.findall(r"\\[A-Za-z]+|\\.|\s+|.", formula.strip(), flags=re.S)[::-1]
    text = ""
    while tokens:
        text += _atom(tokens)
    return unicodedata.normalize("NFC", re.sub(r"(^|[=(]\s*)− ", r"\1−", text))


def _atom(tokens: list[str]) -> str:
    """Read one piece off the end of `tokens`, which stand in reverse."""
    token = tokens.pop()
    name = token[1:]
    if token == "{":
        parts = []
        while tokens and tokens[-1] != "}":
            parts.append(_atom(tokens))
        del tokens[-1:]
        return "".join(parts)
    if token in "^_":
        signs, script = _ABOVE if token == "^" else _BELOW, _argument(tokens)
        known = all(sign in signs for sign in script)
        return "".join(map(signs.get, script)) if known else token + _whole(script)
    if token == "-":
        return "−"
    if token.isspace():
        return " "
    if not token.startswith("\\"):
        return token
    if name == "frac":
        above, below = _argument(tokens), _argument(tokens)
        return f"{_whole(above)}/{_whole(below)}"
    if name == "sqrt":
        return f"√{_whole(_argument(tokens))}"
    if name in _ACCENTS:
        return _argument(tokens) + _ACCENTS[name]
    if name in _NAMES:
        return _argument(tokens)
    return " " if name in (",", ";", " ") else _SIGNS.get(name, name)


def _argument(tokens: list[str]) -> str:
    while tokens and tokens[-1].isspace():
        tokens.pop()
    return _atom(tokens) if tokens else ""


def _whole(text: str) -> str:
    """Put what has several parts into brackets."""
    several = re.search(r"[\s+−/·×]", text) and not re.fullmatch(r"√?\([^()]*\)", text)
    return f"({text})" if several else text
