"""Chance that is the same on every machine and every Python.

Only ``random.Random.random`` promises the same numbers in all versions, so every draw is made of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A stream of draws that depends on nothing but its name."""

    __slots__ = ("_next",)

    def __init__(self, name: str) -> None:
        # Not for secrets: the same name must give the same patients.
        self._next = random.Random(name).random  # noqa: S311

    def happens(self, probability: float) -> bool:
        """True with the given probability."""
        return self._next() < probability

    def whole(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._next() * (high - low + 1))

    def one(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the next."""
        return options[int(self._next() * len(options))]

    def weighted(self, options: Sequence[tuple[int, T]]) -> T:
        """One of the options, each as likely as its weight says."""
        left = self.whole(1, sum(weight for weight, _ in options))
        for weight, option in options:
            left -= weight
            if left <= 0:
                return option
        raise AssertionError("weights are positive")

    def measurement(self, low: Decimal, high: Decimal, step: Decimal) -> Decimal:
        """A value from ``low`` to ``high`` in whole steps, likelier in the middle than at the ends."""
        steps = int((high - low) / step)
        third = (self._next() + self._next() + self._next()) / 3
        return low + step * int(third * (steps + 1))

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in a new order (Fisher-Yates)."""
        deck = list(options)
        for last in range(len(deck) - 1, 0, -1):
            other = self.whole(0, last)
            deck[last], deck[other] = deck[other], deck[last]
        return deck
