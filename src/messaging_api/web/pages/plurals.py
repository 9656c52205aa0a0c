"""Plural categories of whole numbers (Unicode CLDR, Language Plural Rules; UTS #35, part 3, section 5)."""

import re
from collections.abc import Mapping

_RELATION = re.compile(r"([a-z])(?: % (\d+))? (=|!=) ([\d.,]+)")


def plural_category(number: int, rules: Mapping[str, str]) -> str:
    """Return the plural category of `number`: the first of `rules` that holds, or "other".

    `rules` maps zero, one, two, few or many to a condition in CLDR's syntax, such as "v = 0 and i % 10 = 2..4", without
    samples. Raises ValueError for a condition that is not in this syntax.
    """
    for category, condition in rules.items():
        if any(all(_holds(each, number) for each in both.split(" and ")) for both in condition.split(" or ")):
            return category
    return "other"


def _holds(relation: str, number: int) -> bool:
    parts = _RELATION.fullmatch(relation)
    if parts is None:
        raise ValueError(f"not a relation of CLDR's plural rules: {relation}")
    operand, modulus, comparison, ranges = parts.groups()
    value = number if operand in "ni" else 0  # the other operands describe fractions and exponents
    value = value % int(modulus) if modulus else value
    limits = (each.partition("..") for each in ranges.split(","))
    inside = any(int(low) <= value <= int(high or low) for low, _, high in limits)
    return inside == (comparison == "=")
