"""`runner schema`."""

import click

from runner.cli.run import Outcome, run

_KINDS = ["profile", "backup", "manifest"]


@click.command("schema")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--format", type=click.Choice(["text", "json"]), expose_value=False, help="The same either way: JSON.")
def command(kind: str) -> None:
    """Print the JSON Schema of a profile, of backup.yml or of an archive's manifest, for editors and programs.

    \b
    Examples:
      runner schema profile > profile.schema.json
      runner schema manifest

    Exit codes: 0 done, 2 wrong usage.
    """

    def work() -> Outcome:
        from typing import cast

        from runner.config import SchemaKind, schema_text

        return Outcome(lines=(_ascii(schema_text(cast("SchemaKind", kind))).rstrip("\n"),))

    run(work, "text")


def _ascii(text: str) -> str:
    """The same JSON in ASCII, as every JSON of ours on stdout: no console and no redirection can damage it."""
    import re

    def escaped(match: "re.Match[str]") -> str:
        units = match[0].encode("utf-16-be")
        return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))

    return re.sub(r"[^\x00-\x7f]", escaped, text)
