"""Question templates of every problem kind, in two disjoint sets.

A template is an opening followed by a question. Of a kind's openings times questions, one pairing in four is kept for
the tests (``test=True``) and occurs in no training data; each opening and each question alone is known from training.

Placeholders: ``{a}``, ``{b}``, ``{c}`` numbers; ``{list}`` several; ``{N}`` a person; ``{o}`` things; ``{k}``
containers; ``{E}`` a place and ``{f}`` what is known of it.
"""

from __future__ import annotations

NAMES = ("Anna", "Tom", "Maria", "Ben", "Lena", "Omar", "Ida", "Paul", "Nina", "Sam", "Eva", "Leo")
THINGS = (
    "marbles", "apples", "books", "pens", "eggs", "cookies",
    "stones", "cards", "flowers", "stamps", "balls", "pears",
)  # fmt: skip
CONTAINERS = ("bags", "boxes", "baskets", "cartons", "crates", "trays")

Clauses = tuple[str, ...]

_TOTAL: Clauses = (
    "How many {o} are there in total?",
    "How many {o} are there in all?",
    "What is the total number of {o}?",
    "How many {o} is that together?",
)
_LEFT: Clauses = (
    "How many {o} are left?",
    "How many {o} remain?",
    "What number of {o} is left?",
    "How many {o} are still there?",
)
_SHARE: Clauses = (
    "How many {o} does each get?",
    "How many {o} is that for each?",
    "What is the share of each?",
    "How many {o} are there for every one?",
)
_OVER: Clauses = (
    "How many {o} are left over?",
    "How many {o} do not fit?",
    "How many {o} are over in the end?",
    "What is the remainder?",
)
_RESULT: Clauses = (
    "What is the result?",
    "What number is that?",
    "What is it then?",
    "Which number comes out?",
)
_PACKED: Clauses = (
    "{a} {o} are packed in {k} of {b}.",
    "{N} packs {a} {o} into {k} that hold {b} each.",
    "{N} fills {k} of {b} from {a} {o}.",
    "A shop has {a} {o} and sells them in {k} of {b}.",
)
_LISTED: Clauses = (
    "{N} counts {list} {o}.",
    "The numbers are {list}.",
    "Take the numbers {list}.",
    "{N} writes down {list}.",
)

CLAUSES: dict[str, tuple[Clauses, Clauses]] = {
    "add": (
        (
            "{N} has {a} red {o} and {b} blue {o}.",
            "There are {a} {o} in the box and {b} {o} on the table.",
            "{N} finds {a} {o} on Monday and {b} more on Tuesday.",
            "One shelf holds {a} {o} and another holds {b}.",
        ),
        _TOTAL,
    ),
    "subtract": (
        (
            "{N} has {a} {o} and gives {b} away.",
            "A shelf holds {a} {o} and {b} of them are sold.",
            "There were {a} {o} in the box and {N} took {b} out.",
            "{N} collects {a} {o} but loses {b}.",
        ),
        _LEFT,
    ),
    "multiply": (
        (
            "A shop sells {a} {k} with {b} {o} each.",
            "{N} buys {a} {k} of {b} {o}.",
            "There are {a} rows with {b} {o} in each row.",
            "{a} children bring {b} {o} each.",
        ),
        _TOTAL,
    ),
    "divide": (
        (
            "{a} {o} are shared equally by {b} children.",
            "{N} puts {a} {o} into {b} equal {k}.",
            "{b} friends split {a} {o} evenly.",
            "{a} {o} are dealt to {b} players.",
        ),
        _SHARE,
    ),
    "modulo": (_PACKED, _OVER),
    "ceil_div": (
        _PACKED,
        (
            "How many {k} are needed for all of them?",
            "How many {k} does it take to hold all {o}?",
            "What number of {k} is needed?",
            "How many {k} are used, the last one not full?",
        ),
    ),
    "floor_div": (
        _PACKED,
        (
            "How many {k} are full?",
            "How many full {k} are there?",
            "What number of {k} is full?",
            "How many {k} can be filled?",
        ),
    ),
    "round_div": (
        (
            "{N} walks {a} meters in {b} minutes.",
            "{a} liters flow in {b} hours.",
            "A machine makes {a} {o} in {b} hours.",
            "{N} reads {a} pages in {b} days.",
        ),
        (
            "What is the rate, rounded to a whole number?",
            "About how many is that each time?",
            "What is the rounded rate?",
            "How many is that for one, rounded?",
        ),
    ),
    "sqrt": (
        (
            "A square garden has an area of {a}.",
            "{N} has a square field with area {a}.",
            "A square room covers {a} square meters.",
            "The area of a square is {a}.",
        ),
        (
            "How long is one side?",
            "What is the length of its side?",
            "How long is each side?",
            "What is the side?",
        ),
    ),
    "power": (
        (
            "{N} raises {a} to the power {b}.",
            "Take {a} to the power of {b}.",
            "Compute {a} with exponent {b}.",
            "The base is {a} and the exponent is {b}.",
        ),
        _RESULT,
    ),
    "sum": (
        _LISTED,
        (
            "What is the total?",
            "How much is that in total?",
            "What is the sum?",
            "What do they add up to?",
        ),
    ),
    "abs_diff": (
        (
            "The scale shows {a} and then {b}.",
            "{N} guesses {a} but the number is {b}.",
            "One mark is at {a} and the other at {b}.",
            "The first tower is {a} meters high and the second {b}.",
        ),
        (
            "How large is the difference?",
            "How far apart are they?",
            "What is the distance?",
            "By how much do they differ?",
        ),
    ),
    "mul_sub": (
        (
            "{N} has {a} {k} of {b} {o} and gives {c} {o} away.",
            "A shop has {a} {k} with {b} {o} each and {c} of them are sold.",
            "There were {a} rows with {b} {o} in each row and {N} took {c} out.",
            "{a} children bring {b} {o} each but {N} loses {c}.",
        ),
        _LEFT,
    ),
    "mul_add": (
        (
            "{N} has {a} {k} of {b} {o} and buys {c} more.",
            "There are {a} rows with {b} {o} in each row and {c} {o} on the table.",
            "{N} buys {a} {k} with {b} {o} each and finds {c} more on Tuesday.",
            "{a} children bring {b} {o} each and {N} adds {c} {o}.",
        ),
        _TOTAL,
    ),
    "add_div": (
        (
            "{a} red {o} and {b} blue {o} are shared equally by {c} children.",
            "{N} has {a} {o}, finds {b} more and puts them into {c} equal {k}.",
            "{c} friends put {a} and {b} {o} together and split them evenly.",
            "{a} {o} in the box and {b} {o} on the table are dealt to {c} players.",
        ),
        _SHARE,
    ),
    "sub_mul": (
        (
            "Each of {c} {k} has {a} {o} and {b} are taken out of each.",
            "{N} gets {a} {o} a day and gives {b} of them away, for {c} days.",
            "{c} shelves hold {a} {o} each and {b} are sold from each.",
            "{c} children bring {a} {o} each and each loses {b}.",
        ),
        _LEFT,
    ),
    "add_mod": (
        (
            "{a} and {b} {o} are put together and packed in {k} of {c}.",
            "{N} packs {a} red {o} and {b} blue {o} into {k} that hold {c} each.",
            "{N} finds {a} {o}, then {b} more, and fills {k} of {c}.",
            "A shop has {a} {o}, gets {b} more and sells them in {k} of {c}.",
        ),
        _OVER,
    ),
    "sub_div": (
        (
            "{N} has {a} {o} and gives {b} away, the rest is shared equally by {c} children.",
            "A shelf holds {a} {o}, {b} of them are sold and the rest put into {c} equal {k}.",
            "There were {a} {o}, {N} took {b} out and {c} friends split the rest evenly.",
            "{N} collects {a} {o} but loses {b}, the rest is dealt to {c} players.",
        ),
        _SHARE,
    ),
    "add_mul": (
        (
            "Each of {c} {k} has {a} red {o} and {b} blue {o}.",
            "{c} children bring {a} red {o} and {b} blue {o} each.",
            "There are {c} rows with {a} {o} in the box and {b} {o} on the table in each row.",
            "{N} gets {a} {o} on Monday and {b} more on Tuesday, for {c} weeks.",
        ),
        _TOTAL,
    ),
    "sum_div": (
        _LISTED,
        (
            "What is the average?",
            "How much is that on average?",
            "What is the mean?",
            "What is the mean of them?",
        ),
    ),
    "mul_mod": (
        (
            "{a} {k} with {b} {o} each are packed again in boxes of {c}.",
            "{a} children bring {b} {o} each and pack them in {k} of {c}.",
            "{N} has {a} rows with {b} {o} in each row and fills {k} of {c}.",
            "{N} buys {a} {k} of {b} {o} and packs them into boxes that hold {c} each.",
        ),
        _OVER,
    ),
    "search_add": (
        (
            "The {f} of {E} grows by {a}.",
            "{N} adds {a} to the {f} of {E}.",
            "Take the {f} of {E} and add {a}.",
            "The {f} of {E} is now larger by {a}.",
        ),
        _RESULT,
    ),
    "search_subtract": (
        (
            "The {f} of {E} falls by {a}.",
            "{N} takes {a} from the {f} of {E}.",
            "Take the {f} of {E} and subtract {a}.",
            "The {f} of {E} is now smaller by {a}.",
        ),
        _RESULT,
    ),
    "search_multiply": (
        (
            "The {f} of {E} becomes {a} times as large.",
            "{N} multiplies the {f} of {E} by {a}.",
            "Take {a} times the {f} of {E}.",
            "The {f} of {E} is multiplied by {a}.",
        ),
        _RESULT,
    ),
}


def templates(kind: str, *, test: bool) -> list[str]:
    """Templates of a kind on one side of the split."""
    openings, questions = CLAUSES[kind]
    return [
        f"{opening} {question}"
        for i, opening in enumerate(openings)
        for j, question in enumerate(questions)
        if (i == j) == test
    ]
