"""A document against its JSON Schema: every mistake as a problem in our own words.

jsonschema finds the mistakes; its messages quote values, which may be secrets, so none of them is used. One function
below words one keyword. The schemas choose between kinds (of database, of destination) by `if`/`then` on the key that
names the kind, never by `oneOf`: so a wrong `type` is one mistake, and not one for each branch that did not fit.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from runner.config.document import Document, Value
from runner.config.place import ROOT, KeyPath
from runner.config.schemas import Schema, SchemaKind, schema_data
from runner.config.suggest import closest
from runner.messages import Message, msg
from runner.model.problem import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

# Each a whole sentence, because it is translated as one.
_TYPES: Final[Mapping[str, Message]] = {
    "object": msg("must be a mapping: lines of `key: value`"),
    "array": msg("must be a list"),
    "string": msg("must be text"),
    "integer": msg("must be a whole number"),
    "boolean": msg("must be `true` or `false`"),
}


@dataclass(frozen=True, slots=True)
class _Mistake:
    """The value at `path` breaks a keyword of `rule`, a part of the whole `schema`."""

    document: Document
    path: KeyPath
    value: Value
    rule: Schema
    schema: Schema

    def problem(self, message: Message, hint: Message | None = None) -> Problem:
        return self.document.problem(self.path, message, hint=hint)


def check_schema(document: Document, kind: SchemaKind) -> list[Problem]:
    """Every way in which `document` does not fit the schema, in no order; nothing that follows from a hole in it."""
    problems: dict[object, Problem] = {}  # one for each place and text: some mistakes break more than one keyword
    for error in _validator(kind).iter_errors(document.data):
        path = tuple(error.absolute_path)
        if document.in_hole(path):
            continue
        mistake = _Mistake(document, path, document.at(path), cast("Schema", error.schema), schema_data(kind))
        # A secret that breaks its rules may be a literal one: whatever is wrong with it, the same thing is said.
        words = _secret if mistake.rule.get("writeOnly") else _WORDS[str(error.validator)]
        problems |= {(problem.position, str(problem.message)): problem for problem in words(mistake)}
    return list(problems.values())


@cache
def _validator(kind: SchemaKind) -> "Validator":
    # jsonschema takes a fifth of a second to import, which a command that checks nothing need not pay.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def pattern(_: object, expression: str, value: object, __: object) -> "Iterator[ValidationError]":
        # `$` of Python's `re` also fits before a line break at the end; the schemas mean whole texts.
        if isinstance(value, str) and ("\n" in value or not re.search(expression, value)):
            yield ValidationError("pattern")

    def unique_items(_: object, __: object, value: object, ___: object) -> "Iterator[ValidationError]":
        # The library's own does not say which item, and compares each with each where items cannot be sorted.
        seen: set[str] = set()
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str):
                if item in seen:
                    yield ValidationError("uniqueItems", path=(index,))
                seen.add(item)

    keywords = {"pattern": pattern, "uniqueItems": unique_items}
    validator = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]  # its stub has no types
    return cast("Validator", validator(schema_data(kind)))


def _secret(mistake: _Mistake) -> Iterator[Problem]:
    yield mistake.problem(
        msg("must say where the secret stands, never what it is"),
        msg(
            "write `{{env: NAME}}` and set that environment variable, or `{{file: PATH}}`, or `{{command: [PROGRAM]}}`"
        ),
    )


def _type(mistake: _Mistake) -> Iterator[Problem]:
    types = mistake.rule["type"]
    expected = types[0] if isinstance(types, list) else types
    hint = _type_hint(expected, mistake.value) or _example(mistake.rule)
    yield mistake.problem(_TYPES[expected], hint if mistake.path != ROOT else msg("begin with `version: 1`"))


def _type_hint(expected: str, value: Value) -> Message | None:
    match expected, value:
        case _, None:
            return msg("nothing is written here: fill it in, or remove the key")
        case "string", bool() | int() | float():
            return msg("put it in quotes")
        case "integer", str():
            return msg("write digits only, without quotes")
        case "boolean", str():
            return msg("`yes`, `no`, `on` and `off` are text in YAML 1.2, and so is everything in quotes")
        case "array", _:
            return msg("write it as `[...]`, or with one `- ` a line")
    return None


def _enum(mistake: _Mistake) -> Iterator[Problem]:
    allowed: list[str] = mistake.rule["enum"]
    near = closest(mistake.value, allowed) if isinstance(mistake.value, str) else None
    yield mistake.problem(
        msg("must be one of {allowed}", allowed=_listed(allowed)),
        msg("did you mean `{near}`?", near=near) if near else None,
    )


def _const(mistake: _Mistake) -> Iterator[Problem]:
    expected = mistake.rule["const"]
    quoted = str(expected) == mistake.value
    hint = msg("write it without quotes") if quoted else msg("this version of runner knows no other")
    yield mistake.problem(msg("must be `{expected}`", expected=expected), hint)


def _required(mistake: _Mistake) -> Iterator[Problem]:
    value = mistake.value if isinstance(mistake.value, dict) else {}
    known: dict[str, Schema] = mistake.rule["properties"]
    misspelt = {closest(key, known) for key in value if key not in known}  # the unknown key is the mistake then
    for key in mistake.rule["required"]:
        if key not in value and key not in misspelt:
            yield mistake.document.problem(
                (*mistake.path, key),
                msg("this key is missing"),
                hint=msg("add it, for example `{key}: {example}`", key=key, example=_first_example(known[key])),
            )


def _unknown(mistake: _Mistake) -> Iterator[Problem]:
    known: dict[str, Schema] = mistake.rule["properties"]
    for key in mistake.value if isinstance(mistake.value, dict) else ():
        if key not in known:
            hint = _unknown_hint(key, known, mistake)
            yield mistake.document.problem((*mistake.path, key), msg("unknown key"), hint=hint, of_key=True)


def _unknown_hint(key: str, known: Mapping[str, Schema], mistake: _Mistake) -> Message:
    if near := closest(key, known):
        return msg("did you mean `{near}`?", near=near)
    parts: dict[str, Schema] = mistake.schema["properties"]
    if mistake.path != ROOT and key in parts:
        return msg("it belongs at the top level, not indented")
    if owners := [name for name, part in parts.items() if key in _keys_of(part, mistake.schema)]:
        return msg("it belongs under {owners}", owners=_listed(owners))
    return msg("the keys here are {known}", known=_listed(known))


def _keys_of(part: Schema, schema: Schema) -> set[str]:
    """The keys of a part of a profile, those of all its kinds included."""
    kinds = [branch["then"]["$ref"].rpartition("/")[2] for branch in part.get("allOf", ())]
    return {key for each in (part, *(schema["$defs"][kind] for kind in kinds)) for key in each.get("properties", ())}


def _pattern(mistake: _Mistake) -> Iterator[Problem]:
    yield mistake.problem(msg(mistake.rule["patternErrorMessage"]), _example(mistake.rule))


def _range(mistake: _Mistake) -> Iterator[Problem]:
    low, high = mistake.rule["minimum"], mistake.rule.get("maximum")
    message = (
        msg("must be {low} or more", low=low)
        if high is None
        else msg("must be from {low} to {high}", low=low, high=high)
    )
    yield mistake.problem(message, _example(mistake.rule))


def _too_few(mistake: _Mistake) -> Iterator[Problem]:
    hint = msg("fill it in, or remove the key")
    if isinstance(mistake.value, dict):
        hint = msg("the keys here are {known}", known=_listed(mistake.rule["properties"]))
    yield mistake.problem(msg("is empty"), hint)


def _too_many(mistake: _Mistake) -> Iterator[Problem]:
    known = _listed(mistake.rule["properties"])
    yield mistake.problem(msg("must hold one key only"), msg("choose one of {known}", known=known))


def _too_long(mistake: _Mistake) -> Iterator[Problem]:
    yield mistake.problem(
        msg("must be at most {limit} characters long", limit=mistake.rule["maxLength"]), msg("shorten it")
    )


def _too_many_items(mistake: _Mistake) -> Iterator[Problem]:
    yield mistake.problem(
        msg("must hold {limit} items or fewer", limit=mistake.rule["maxItems"]), msg("merge some of them")
    )


def _repeated(mistake: _Mistake) -> Iterator[Problem]:
    yield mistake.problem(msg("stands in this list already"), msg("keep one of the two"))


_WORDS: Final[Mapping[str, Callable[[_Mistake], Iterator[Problem]]]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "additionalProperties": _unknown,
    "pattern": _pattern,
    "minimum": _range,
    "maximum": _range,
    "minItems": _too_few,
    "maxItems": _too_many_items,
    "minProperties": _too_few,
    "maxProperties": _too_many,
    "maxLength": _too_long,
    "uniqueItems": _repeated,
}
"""Every keyword by which a value can break the schemas; a test holds the table to them."""


def _example(rule: Schema) -> Message | None:
    return msg("for example `{example}`", example=_first_example(rule)) if "examples" in rule else None


def _first_example(rule: Schema) -> str:
    example = rule["examples"][0]
    return example if isinstance(example, str) else json.dumps(example)


def _listed(names: Mapping[str, Schema] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
