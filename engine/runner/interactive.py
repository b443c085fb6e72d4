"""CQL as it is typed: declarations are kept, expressions are evaluated against one patient.

What is typed becomes a library that is translated and compiled anew for each entry, by the path that a
measure takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from measurewise.engine.compiler.planner import ProfileMatching
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.cql.errors import CqlSyntaxError
from measurewise.engine.cql.parser import parse_expression, parse_library
from measurewise.engine.cql.tree import (
    CodeDefinition,
    CodeSystemDefinition,
    ConceptDefinition,
    ContextDefinition,
    Definition,
    ExpressionDefinition,
    FunctionDefinition,
    IncludeDefinition,
    ParameterDefinition,
    UsingDefinition,
    ValueSetDefinition,
)
from measurewise.engine.errors import ContentError
from measurewise.engine.models.model import Model
from measurewise.engine.record.profiles import Matching, profile_table
from measurewise.engine.record.record import Record
from measurewise.engine.runtime.temporal import DateTime
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.engine.translator import CqlTranslationError, IncludeSource, Translator, TranslatorOptions

LIBRARY: Final = "Typed"
_RESULT: Final = "__typed"
_ORDER: Final = (
    UsingDefinition,
    IncludeDefinition,
    CodeSystemDefinition,
    ValueSetDefinition,
    CodeDefinition,
    ConceptDefinition,
    ParameterDefinition,
    ContextDefinition,
)


class Interactive:
    """A library that grows as it is typed, and the patient it is asked about."""

    def __init__(
        self,
        source: IncludeSource,
        *,
        now: DateTime,
        value_sets: ValueSetIndex | None = None,
        parameters: Mapping[str, Any] | None = None,
        model_infos: Sequence[Model] = (),
    ) -> None:
        self.record = Record([{"resourceType": "Patient"}])
        self._translator = Translator(source, TranslatorOptions(), model_infos)
        self._now = now
        self._value_sets = value_sets or ValueSetIndex((), missing="empty")
        self._parameters = dict(parameters or {})
        self._declared: dict[tuple[str, str], tuple[type[Definition], str]] = {}

    def enter(self, text: str) -> tuple[bool, Any]:
        """Take in declarations (False and None), or evaluate an expression (True and its value).

        A declaration takes the place of one of the same name. Raises CqlSyntaxError, CqlTranslationError,
        ContentError and EvaluationError; what raises is not kept.
        """
        if is_declaration(text):
            before = dict(self._declared)
            try:
                self._declare(text)
                self._translated("null")
            except Exception:
                self._declared = before
                raise
            return False, None
        parse_expression(text)
        return True, self._value(text)

    def names(self) -> list[str]:
        """The names that an expression may use: what was declared, and what is included, qualified."""
        own = [name for _, name in self._declared if name]
        for node, text in self._declared.values():
            if node is IncludeDefinition:
                (include,) = parse_library(text).definitions
                assert isinstance(include, IncludeDefinition)  # noqa: S101
                local = include.alias.name if include.alias else include.name.parts[-1].name
                for (name, _), translation in self._translator.included().items():
                    if name == include.name.parts[-1].name:
                        own += [f'{local}."{known}"' for known in translation.symbols.definitions]
        return sorted(own)

    def _declare(self, text: str) -> None:
        syntax = parse_library(text)
        if syntax.library is not None:
            raise ContentError("A library is not declared here.", mend="Leave the library line out.")
        for node in syntax.definitions:
            named = getattr(node, "name", None) or getattr(node, "model", None) or ""
            name = getattr(named, "name", None) or str(named)
            kind = "definition" if isinstance(node, ExpressionDefinition | FunctionDefinition) else ""
            if isinstance(node, FunctionDefinition):
                name_key = f"{name}/{len(node.operands)}"
            else:
                name_key = name
            self._declared[kind or type(node).__name__, name_key] = (type(node), syntax.text_of(node))

    def _text(self, expression: str) -> str:
        ranked = sorted(
            self._declared.values(),
            key=lambda kept: _ORDER.index(kept[0]) if kept[0] in _ORDER else len(_ORDER),
        )
        kinds = {kind for kind, _ in ranked}
        lines = [f"library {LIBRARY}"]
        lines += [text for kind, text in ranked if kind in _ORDER]
        if UsingDefinition in kinds and ContextDefinition not in kinds:
            lines.append("context Patient")
        lines += [text for kind, text in ranked if kind not in _ORDER]
        lines.append(f"define {_RESULT}:\n{expression}\n")
        return "\n".join(lines)

    def _translated(self, expression: str) -> list[Any]:
        text = self._text(expression)
        translation = self._translator.translate(text, LIBRARY)
        if translation.errors:
            # To the author an expression begins in line 1.
            above = text[: text.rindex(f"define {_RESULT}:")].count("\n") + 1
            raise CqlTranslationError([replace(e, line=max(1, e.line - above)) for e in translation.errors])
        included = {other.library: None for other in self._translator.included().values()}
        return [*included, translation.library]

    def _value(self, expression: str) -> Any:
        libraries = self._translated(expression)
        program = compile_program(libraries, {(LIBRARY, None): (_RESULT,)})
        run = program.bind(self._parameters, self._value_sets, _Profiles(), now=self._now)
        return run.patient(self.record).value(LIBRARY, _RESULT)


def is_declaration(text: str) -> bool:
    """Whether a text declares something rather than being an expression."""
    word = text.split(None, 1)[0] if text.split() else ""
    return word in {
        "define", "using", "include", "codesystem", "valueset", "code", "concept", "parameter", "context",
        "library",
    } and not text[len(word) :].lstrip().startswith((".", "=", "~"))  # fmt: skip


def is_unfinished(text: str) -> bool:
    """Whether a text could still become CQL by going on: its first syntax error stands at its end."""
    try:
        parse_library(text) if is_declaration(text) else parse_expression(text)
    except CqlSyntaxError as error:
        return error.issues[0].offset >= len(text.rstrip())
    return False


class _Profiles(ProfileMatching):
    def predicate(self, template: str, resource_type: str) -> Any:
        """See ProfileMatching."""
        return None if resource_type == "Patient" else profile_table().predicate(template, Matching.AUTO)
