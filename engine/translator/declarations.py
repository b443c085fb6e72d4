"""The declarations of a library: models, includes, terminology, parameters, contexts.

CQL 1.5.3 Author's Guide, "Declarations".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.models.model import Model, load_model
from measurewise.engine.models.types import ANY, CODE, CODESYSTEM, CONCEPT, VALUESET, DataType
from measurewise.engine.translator.annotations import annotate
from measurewise.engine.translator.context import Context
from measurewise.engine.translator.diagnostics import Abandoned, suggestion
from measurewise.engine.translator.symbols import DefinitionSymbol, Kind, LibrarySymbols
from measurewise.engine.translator.terms import code_system, terminology
from measurewise.engine.translator.type_specifiers import resolve_type

UNFILTERED = ("Unfiltered", "Population")


class IncludedLibrary:
    """An included library as the translation of another needs it."""

    __slots__ = ("models", "symbols")

    def __init__(self, symbols: LibrarySymbols, models: dict[str, Model]) -> None:
        self.symbols = symbols
        self.models = models


Includes = Callable[[str, str | None, str | None], IncludedLibrary]
"""Gives an included library by name, version and namespace; raises ContentError."""


class Declarations:
    """Collects what a library declares; ``parts`` goes from the library's ELM attribute to its definitions.

    ``declared`` are the names that are taken, ``unusable`` those whose declaration has an error: what refers
    to them is not reported again.
    """

    c: Context

    def __init__(self, includes: Includes, model_infos: tuple[Model, ...], symbols: LibrarySymbols) -> None:
        self.symbols = symbols
        self.models: dict[str, Model] = {"System": load_model("System")}
        self.usings: dict[str, Model] = {}
        self.included: dict[str, LibrarySymbols] = {}
        self.parts: dict[str, list[Any]] = {}
        self.declared: set[str] = set()
        self.unusable: set[str] = set()
        self.incomplete = False
        self.implicit: list[elm.ExpressionDef] = []
        self._includes = includes
        self._model_infos = model_infos
        self._chapters: dict[type[tree.Definition], Callable[[Any], None]] = {
            tree.UsingDefinition: self._using,
            tree.IncludeDefinition: self._include,
            tree.CodeSystemDefinition: self._code_system,
            tree.ValueSetDefinition: self._value_set,
            tree.CodeDefinition: self._code,
            tree.ConceptDefinition: self._concept,
            tree.ParameterDefinition: self._parameter,
        }

    def lacks_library(self) -> bool:
        """Whether an included library could not be used."""
        return self.incomplete

    def declare(self, definition: tree.Definition) -> None:
        """Take in a declaration; statements are passed over."""
        chapter = self._chapters.get(type(definition))
        if chapter is None:
            return
        try:
            chapter(definition)
        except Abandoned:
            name = getattr(definition, "name", None)
            if isinstance(name, tree.Identifier):
                self.unusable.add(name.name)

    def _add(
        self, part: str, node: elm.Definition, at: tree.Node | None = None, kind: DataType | None = None
    ) -> None:
        if at is not None:
            self.c.mark(node, at, kind)
            if self.c.options.annotations:
                annotate(self.c, node, at)
        self.parts.setdefault(part, []).append(node)

    def _claim(self, name: tree.Identifier) -> None:
        if name.name in self.declared:
            raise self.c.fail(name, f'"{name.name}" is defined twice in this library.', "Rename one of them.")
        self.declared.add(name.name)

    def _define(self, name: str, kind: Kind, type_: DataType, access: str | None) -> None:
        self.symbols.definitions[name] = DefinitionSymbol(name, kind, type_, access != "private")

    def _using(self, node: tree.UsingDefinition) -> None:
        name = node.name.parts[-1].name
        if name == "System":
            return
        model = self._model(node, name, node.version)
        local = node.alias.name if node.alias is not None else name
        for other, required in model.models.items():
            self.models.setdefault(other, required)
        self.models[model.name] = model
        self.usings[local] = model
        version = model.version if model.target_url is None else model.target_version
        using = elm.UsingDef(
            local_identifier=local,
            uri=model.target_url or model.url,
            name=name if local != name else None,
            version=version if node.version is not None or model.target_url is not None else None,
        )
        self._add("usings", using, node)

    def _model(self, node: tree.UsingDefinition, name: str, version: str | None) -> Model:
        for model in self._model_infos:
            if model.name == name and version in (None, model.version):
                return model
        try:
            return load_model(name, version)
        except NotFoundError as error:
            raise self.c.fail(node, error.what, error.mend) from None

    def _include(self, node: tree.IncludeDefinition) -> None:
        name = node.name.parts[-1].name
        namespace = ".".join(part.name for part in node.name.parts[:-1]) or None
        local = node.alias if node.alias is not None else node.name.parts[-1]
        if local.name in self.included:
            raise self.c.fail(
                local, f'Two libraries are called "{local.name}" here.', "Write 'called' and another name."
            )
        try:
            included = self._includes(name, node.version, namespace)
        except ContentError as error:
            self.unusable.add(local.name)
            self.incomplete = True
            raise self.c.fail(node, error.what, error.mend) from None
        self._claim(local)
        for model_name, model in included.models.items():
            self.models.setdefault(model_name, model)
        self.included[local.name] = included.symbols
        path = name if namespace is None else f"{namespace}/{name}"
        definition = elm.IncludeDef(
            local_identifier=local.name, path=path, version=node.version or included.symbols.version
        )
        self._add("includes", definition, node)

    def _code_system(self, node: tree.CodeSystemDefinition) -> None:
        self._claim(node.name)
        definition = elm.CodeSystemDef(
            name=node.name.name, id=node.id, version=node.version, access_level=access_level(node.access)
        )
        self._define(node.name.name, "codesystem", CODESYSTEM, node.access)
        self._add("code_systems", definition, node, CODESYSTEM)

    def _value_set(self, node: tree.ValueSetDefinition) -> None:
        self._claim(node.name)
        definition = elm.ValueSetDef(
            name=node.name.name,
            id=node.id,
            version=node.version,
            access_level=access_level(node.access),
            code_system=tuple(code_system(self.c, name) for name in node.codesystems),
        )
        self._define(node.name.name, "valueset", VALUESET, node.access)
        self._add("value_sets", definition, node, VALUESET)

    def _code(self, node: tree.CodeDefinition) -> None:
        self._claim(node.name)
        definition = elm.CodeDef(
            name=node.name.name,
            id=node.id,
            display=node.display,
            access_level=access_level(node.access),
            code_system=code_system(self.c, node.system),
        )
        self._define(node.name.name, "code", CODE, node.access)
        self._add("codes", definition, node, CODE)

    def _concept(self, node: tree.ConceptDefinition) -> None:
        self._claim(node.name)
        codes = []
        for name in node.codes:
            value = terminology(self.c, name).node
            if not isinstance(value, elm.CodeRef):
                raise self.c.fail(
                    name, f'"{name}" is no code.', 'Declare it with: code "Name": \'...\' from "System"'
                )
            codes.append(value)
        definition = elm.ConceptDef(
            name=node.name.name,
            display=node.display,
            access_level=access_level(node.access),
            code=tuple(codes),
        )
        self._define(node.name.name, "concept", CONCEPT, node.access)
        self._add("concepts", definition, node, CONCEPT)

    def _parameter(self, node: tree.ParameterDefinition) -> None:
        self._claim(node.name)
        c = self.c
        declared = None if node.type is None else resolve_type(c, node.type)
        default = None if node.default is None else c.expression(node.default)
        if declared is None and default is None:
            raise c.fail(
                node, f'The parameter "{node.name.name}" has neither type nor default.', "Give it a type."
            )
        kind = declared if declared is not None else default.type if default is not None else ANY
        value = None
        if default is not None and node.default is not None:
            value = c.convert(default, kind, node.default, f'The default of parameter "{node.name.name}"')
        specifier = c.types.specifier(kind) if declared is not None else None
        definition = elm.ParameterDef(
            name=node.name.name,
            access_level=access_level(node.access),
            parameter_type_specifier=specifier,
            default=value,
        )
        self._define(node.name.name, "parameter", kind, node.access)
        self._add("parameters", definition, node, kind)

    def context(self, node: tree.ContextDefinition) -> str:
        """The context that a statement names; its first mention defines the expression of that name."""
        name = node.name.name
        c = self.c
        if name in UNFILTERED:
            self._add("contexts", elm.ContextDef(name="Unfiltered"), node)
            return "Unfiltered"
        models = list(self.usings.values())
        if node.model is not None:
            chosen = self.usings.get(node.model.name)
            if chosen is None:
                raise c.fail(
                    node.model,
                    f'No model "{node.model.name}" is in use.',
                    suggestion(node.model.name, self.usings),
                )
            models = [chosen]
        for model in models:
            info = model.contexts.get(name)
            if info is not None:
                break
        else:
            known = [n for model in models for n in model.contexts]
            raise c.fail(
                node.name,
                f'No model in use has a context "{name}".',
                suggestion(name, [*known, "Unfiltered"]),
            )
        if name not in self.symbols.definitions:
            self._add("contexts", elm.ContextDef(name=name), node)
            kind = info.type
            owner = c.models[kind.model].class_of(kind)
            retrieve = elm.Retrieve(
                data_type=c.types.qualified_name(kind),
                template_id=None if owner is None else owner.identifier,
            )
            definition = elm.ExpressionDef(
                name=name, context=name, expression=elm.SingletonFrom(operand=retrieve)
            )
            c.mark(definition, node, kind)
            self.implicit.append(definition)
            self.symbols.definitions[name] = DefinitionSymbol(name, "expression", kind, True, name)
            self.declared.add(name)
        return name


def access_level(word: str | None) -> str:
    """The access level as ELM has it; public where none is written."""
    return "Private" if word == "private" else "Public"
