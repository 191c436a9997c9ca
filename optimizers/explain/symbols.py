"""Names in LaTeX: a catalogue's `β₁`, `v̂` and `vₘₐₓ`, a rule's `mu_next` and `m_bar`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot"}
_GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi|omega"
)
_NAME = re.compile(rf"({_GREEK}|eps|[A-Za-z])(\d*)((?:_(?:hat|bar|tilde|dot|next|inf|max|min|t|\d+))*)")
_INDICES = {"inf": r"\infty", "∞": r"\infty", "max": r"\mathrm{max}", "min": r"\mathrm{min}"}


@dataclass(frozen=True)
class Symbol:
    """A letter with its marks, ready to be given another index."""

    letter: str  # LaTeX, marks and all
    index: str = ""
    ahead: int = 0  # a quantity of so many steps later

    def at(self, index: str) -> str:
        """Return the symbol with one more index, such as `t` or `x`."""
        indices = ",".join(part for part in (self.index, index) if part)
        if not indices:
            return self.letter
        return f"{self.letter}_{indices}" if len(indices) == 1 else f"{self.letter}_{{{indices}}}"


def read_label(label: str) -> Symbol | None:
    """Return the symbol a label writes, `√` left out; None where the label is a formula or a word.

    >>> read_label("√v̂"), read_label("g + λθ")
    (Symbol(letter='\\\\hat{v}', index='', ahead=0), None)
    """
    letters: list[str] = []
    index = accent = ""
    for sign in unicodedata.normalize("NFD", label.removeprefix("√")):
        how, _, code = unicodedata.decomposition(sign).partition(" ")
        if sign in _ACCENTS and letters and not accent:
            accent = _ACCENTS[sign]
        elif (how == "<sub>" or sign == "∞") and letters:
            index += chr(int(code, 16)) if how else sign
        elif sign.isalpha() and not index and not accent:
            letters.append(_letter(sign))
        else:
            return None
    if len(letters) == 2 and letters[0] == r"\Pi ":  # a product of all so far, as one thing
        letters = [f"({letters[0]}{letters[1].strip()})"]
    if len(letters) != 1:
        return None
    letter = letters[0].strip()
    return Symbol(f"\\{accent}{{{letter}}}" if accent else letter, _INDICES.get(index, index))


def read_name(name: str) -> Symbol | None:
    """Return the symbol a Python name spells, or None.

    >>> read_name("mu_next"), read_name("size")
    (Symbol(letter='\\\\mu', index='', ahead=1), None)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    base, digits, rest = match.groups()
    letter, indices, ahead = _spelled(base), [digits] if digits else [], 0
    for part in rest.split("_")[1:]:
        if part in _ACCENTS.values():
            letter = f"\\{part}{{{letter}}}"
        elif part == "next":
            ahead += 1
        elif part != "t":
            indices.append(_INDICES.get(part, part))
    return Symbol(letter, ",".join(indices), ahead)


def word(text: str) -> Symbol:
    """Return any text as a symbol: what is no letter stands upright, as lr does."""
    known = read_label(text) or read_name(text)
    if known is not None:
        return known
    letter, _, rest = text.partition("_")
    if rest.isalnum() and (short := read_name(letter)):
        return Symbol(short.letter, ",".join(filter(None, (short.index, rf"\mathrm{{{rest}}}"))))
    upright = re.sub(r"[^\w.−+-]+|_", r"\\ ", text).strip("\\ ")
    return Symbol(rf"\mathrm{{{upright}}}")


def _letter(sign: str) -> str:
    alphabet, _, letter = unicodedata.name(sign).partition(" LETTER ")
    if not alphabet.startswith("GREEK"):
        return sign
    name = {"LAMDA": "lambda"}.get(letter, letter.lower())
    return f"\\{name.capitalize()} " if "CAPITAL" in alphabet else _spelled(name) + " "


def _spelled(base: str) -> str:
    if base in ("eps", "epsilon"):
        return r"\varepsilon"
    return f"\\{base}" if re.fullmatch(_GREEK, base) else base
