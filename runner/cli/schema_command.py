"""`runner schema`."""

import click

from runner.cli.run import Outcome, run


@click.command("schema")
@click.argument("kind", type=click.Choice(["profile", "backup", "manifest"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a profile, of backup.yml or of an archive's manifest, for editors and programs.

    \b
    Examples:
      runner schema profile > profile.schema.json
      runner schema manifest

    Exit code: 0.
    """

    def work() -> Outcome:
        from typing import cast

        from runner.config import SchemaKind, schema_text

        return Outcome(lines=(schema_text(cast("SchemaKind", kind)).rstrip("\n"),))

    run(work, "text")
