"""Writes docs/profile.md from the JSON Schemas of a profile and of backup.yml.

    python docs/make_profile_reference.py

A test fails when the page is not what this makes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.config.unbuilt import UNBUILT, UNBUILT_DESTINATIONS

HERE = Path(__file__).parent
TARGET = HERE / "profile.md"

INTRODUCTION = """\
# Profile reference

<!-- Made by docs/make_profile_reference.py from the files in schema/; changes here are lost. -->

One YAML file in `profiles/` describes one application; its name is the file's name without `.yml`. Unknown keys are
errors. Relative paths start at the folder of `backup.yml`. `~`, `${VAR}` and `${VAR:-default}` work in paths and
host-like texts. Editors complete and explain every key when the first line of the file is

```yaml
# yaml-language-server: $schema=../schema/profile.schema.json
```

(`runner schema profile` prints the schema.) A part that is marked **not built yet** is refused by name, never ignored.

## Secrets

A profile never holds a secret, only where it stands. Exactly one of

```yaml
password: {env: SCHOOL_DB_PASSWORD}          # an environment variable
password: {file: /etc/school/password}       # a file, less one line break at its end
password: {command: [pass, show, school]}    # what a program prints: an argument list, never a shell string
```

It is read at the moment a step needs it, handed on by the environment, and never by an argument list. Plans, logs,
errors and manifests do not hold it. `runner apply --dry-run` reads no
secret; `runner restore --dry-run` looks at the server, and needs those of the database.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_page()).rstrip() + "\n"


def _page() -> Iterator[str]:
    yield INTRODUCTION
    yield "## A profile\n"
    profile = _schema("profile")
    yield from _keys(profile, profile, ())
    yield "## backup.yml\n"
    yield "The root file: commands use the nearest one, in the current folder or above it.\n"
    backup = _schema("backup")
    yield from _keys(backup, backup, ())


def _schema(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE.parent / "schema" / f"{kind}.schema.json").read_text("utf-8"))
    return content


def _keys(schema: dict[str, Any], part: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Every key of a mapping, those of all its kinds, and what is below each."""
    for condition, branch in _branches(schema, part):
        required = set(branch.get("required", ()))
        for key, rule in branch.get("properties", {}).items():
            if condition and key in part.get("properties", {}):
                continue
            yield from _key(schema, (*path, key), rule, required=key in required, condition=condition)


def _branches(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mapping itself, then what `if`/`then` adds for each kind, with the condition in words."""
    yield "", part
    for rule in part.get("allOf", ()):
        ((name, test),) = rule["if"]["properties"].items()
        yield f"`{name}: {test['const']}`", _resolved(schema, rule["then"])


def _key(
    schema: dict[str, Any], path: tuple[str, ...], rule: dict[str, Any], *, required: bool, condition: str
) -> Iterator[str]:
    whole = {**_resolved(schema, rule), **{key: value for key, value in rule.items() if key != "$ref"}}
    items = _resolved(schema, whole.get("items", {}))
    yield f"### `{'.'.join(path)}`\n"
    facts = [_type(whole, items), "required" if required else "", f"with {condition}" if condition else ""]
    if "default" in whole:
        facts.append(f"default `{json.dumps(whole['default'], ensure_ascii=False)}`")
    if _is_unbuilt(path) or (condition and any(f": {kind}`" in condition for kind in UNBUILT_DESTINATIONS)):
        facts.append("**not built yet**")
    yield f"*{'; '.join(fact for fact in facts if fact)}*\n"
    yield f"{whole.get('description', whole.get('title', ''))}\n"
    if "enum" in whole:
        yield f"One of {', '.join(f'`{value}`' for value in whole['enum'])}.\n"
    for example in whole.get("examples", [])[:1]:
        yield f"```yaml\n{path[-1].removesuffix('[]')}: {_flow(example)}\n```\n"
    inner = items if items.get("properties") else whole
    if whole.get("writeOnly"):
        yield "A secret: see [Secrets](#secrets).\n"
    elif inner.get("properties") or inner.get("allOf"):
        below = (*path[:-1], f"{path[-1]}[]") if inner is items else path
        yield from _keys(schema, inner, below)


def _resolved(schema: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in rule:
        return rule
    found: dict[str, Any] = schema["$defs"][rule["$ref"].rpartition("/")[2]]
    return found


def _type(rule: dict[str, Any], items: dict[str, Any]) -> str:
    if "const" in rule or "enum" in rule:
        return "one fixed value" if "const" in rule else "text"
    kind = rule.get("type", "mapping")
    names = {
        "object": "mapping",
        "array": "list",
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
    }
    words = " or ".join(names.get(each, each) for each in ([kind] if isinstance(kind, str) else kind))
    if kind == "array" and items.get("type") in names:
        return f"list of {names[items['type']]}s" if items["type"] != "string" else "list of texts"
    return words


def _is_unbuilt(path: tuple[str, ...]) -> bool:
    return path in UNBUILT


def _flow(value: object) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        plain = value and not set(value) & set("{}[],:#*&!|>%@`\"'\\") and value == value.strip()
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8")
