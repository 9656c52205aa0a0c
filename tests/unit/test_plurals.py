"""Plural categories of whole numbers, against the rules and samples of Unicode CLDR."""

import pytest

from messaging_api.web.pages.plurals import plural_category

ENGLISH = {"one": "i = 1 and v = 0"}
FRENCH = {"one": "i = 0,1", "many": "e = 0 and i != 0 and i % 1000000 = 0 and v = 0 or e != 0..5"}
POLISH = {
    "one": "i = 1 and v = 0",
    "few": "v = 0 and i % 10 = 2..4 and i % 100 != 12..14",
    "many": "v = 0 and i != 1 and i % 10 = 0..1 or v = 0 and i % 10 = 5..9 or v = 0 and i % 100 = 12..14",
}
RUSSIAN = {
    "one": "v = 0 and i % 10 = 1 and i % 100 != 11",
    "few": "v = 0 and i % 10 = 2..4 and i % 100 != 12..14",
    "many": "v = 0 and i % 10 = 0 or v = 0 and i % 10 = 5..9 or v = 0 and i % 100 = 11..14",
}
ARABIC = {"zero": "n = 0", "one": "n = 1", "two": "n = 2", "few": "n % 100 = 3..10", "many": "n % 100 = 11..99"}
LATVIAN = {
    "zero": "n % 10 = 0 or n % 100 = 11..19 or v = 2 and f % 100 = 11..19",
    "one": "n % 10 = 1 and n % 100 != 11 or v = 2 and f % 10 = 1 and f % 100 != 11 or v != 2 and f % 10 = 1",
}
JAPANESE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("rules", "samples"),
    [
        (ENGLISH, {"one": (1,), "other": (0, 2, 16, 100, 1000, 1_000_000)}),
        (FRENCH, {"one": (0, 1), "many": (1_000_000,), "other": (2, 17, 100, 1000, 100_000)}),
        (POLISH, {"one": (1,), "few": (2, 4, 22, 24, 102, 1002), "many": (0, 5, 11, 12, 14, 19, 21, 112, 1_000_000)}),
        (RUSSIAN, {"one": (1, 21, 101, 1001), "few": (2, 4, 22, 102), "many": (0, 5, 11, 12, 14, 111, 1_000_000)}),
        (
            ARABIC,
            {"zero": (0,), "one": (1,), "two": (2,), "few": (3, 10, 103), "many": (11, 99, 111), "other": (100, 102)},
        ),
        (LATVIAN, {"zero": (0, 10, 11, 19, 20, 111, 1000), "one": (1, 21, 101, 1001), "other": (2, 9, 22, 102)}),
        (JAPANESE, {"other": (0, 1, 2, 1000)}),
    ],
)
def test_categories_are_those_of_cldr(rules: dict[str, str], samples: dict[str, tuple[int, ...]]) -> None:
    """Each sample of CLDR gets its category."""
    found = {category: {plural_category(number, rules) for number in numbers} for category, numbers in samples.items()}
    assert found == {category: {category} for category in samples}


@pytest.mark.parametrize("condition", ["", "i is 1", "i = 1 @integer 1", "i = x", "i=1"])
def test_malformed_condition_is_an_error(condition: str) -> None:
    """A rule that cannot be evaluated is not treated as one that does not hold."""
    with pytest.raises(ValueError, match="not a relation"):
        plural_category(1, {"one": condition})
