"""Type specifiers of the text, resolved against the models that the library uses."""

from __future__ import annotations

from measurewise.engine.cql import tree
from measurewise.engine.models.types import (
    DataType,
    IntervalType,
    ListType,
    NamedType,
    tuple_of,
)
from measurewise.engine.translator.context import Context
from measurewise.engine.translator.data_types import choice
from measurewise.engine.translator.diagnostics import suggestion


def resolve_type(c: Context, specifier: tree.TypeSpecifier) -> DataType:
    """The data type that a specifier names (Author's Guide, "Type Specifiers")."""
    if isinstance(specifier, tree.NamedType):
        return resolve_named(c, specifier)
    if isinstance(specifier, tree.ListOf):
        return ListType(resolve_type(c, specifier.element))
    if isinstance(specifier, tree.IntervalOf):
        return IntervalType(resolve_type(c, specifier.point))
    if isinstance(specifier, tree.ChoiceOf):
        return choice(resolve_type(c, member) for member in specifier.choices)
    if isinstance(specifier, tree.TupleOf):
        return tuple_of({e.name.name: resolve_type(c, e.type) for e in specifier.elements})
    raise c.fail(specifier, "This is no type.")


def resolve_named(c: Context, specifier: tree.NamedType) -> NamedType:
    """A named type: of the model before the dot, else of the models in use, else of System.

    The models come before System, as in FHIRHelpers, where ``Quantity`` and ``Ratio`` are those of FHIR.
    """
    parts = [part.name for part in specifier.parts]
    if len(parts) > 1 and (parts[0] in c.usings or parts[0] == "System"):
        model = c.models["System"] if parts[0] == "System" else c.usings[parts[0]]
        info = model.type(".".join(parts[1:]))
        if info is None:
            raise c.fail(
                specifier,
                f'Model {parts[0]} has no type "{".".join(parts[1:])}".',
                suggestion(".".join(parts[1:]), model.class_names()),
            )
        return info.type
    name = ".".join(parts)
    found: list[NamedType] = []
    for model in c.usings.values():
        info = model.type(name)
        if info is not None and info.type not in found:
            found.append(info.type)
    if not found:
        info = c.models["System"].type(name)
        if info is not None:
            found.append(info.type)
    if not found:
        known = [n for m in (*c.usings.values(), c.models["System"]) for n in m.class_names()]
        raise c.fail(specifier, f'There is no type "{name}".', suggestion(name, known))
    # In several models: that of the first 'using' is meant.
    return found[0]
