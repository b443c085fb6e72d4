"""The Unified Code for Units of Measure (https://ucum.org), case-sensitive, over exact fractions.

>>> from decimal import Decimal
>>> convert(Decimal("98.6"), "[degF]", "Cel")
Decimal('37')
>>> conversion_factor("[lb_av]", "g")
Fraction(45359237, 100000)
"""

from __future__ import annotations

from measurewise.engine.runtime.ucum.algebra import product, quotient
from measurewise.engine.runtime.ucum.conversion import (
    canonical,
    commensurable,
    conversion_factor,
    convert,
    converted,
    is_valid,
)
from measurewise.engine.runtime.ucum.parser import Dimension, InvalidUnit, Unit, parse, read
from measurewise.engine.runtime.ucum.table import VERSION

__all__ = [
    "VERSION",
    "Dimension",
    "InvalidUnit",
    "Unit",
    "canonical",
    "commensurable",
    "conversion_factor",
    "convert",
    "converted",
    "is_valid",
    "parse",
    "product",
    "quotient",
    "read",
]
