"""`runner schema`."""

import click

from runner.cli.run import Outcome, format_option, run

_KINDS = ["profile", "backup", "manifest"]


@click.command("schema")
@click.argument("kind", type=click.Choice(_KINDS))
@format_option
def command(kind: str, output_format: str) -> None:
    """Print the JSON Schema of a profile, of backup.yml or of an archive's manifest, for editors and programs.

    With --format json it is the `schema` of the one object that every command prints.

    \b
    Examples:
      runner schema profile > profile.schema.json
      runner schema manifest

    Exit codes: 0 done, 2 wrong usage.
    """

    def work() -> Outcome:
        import json
        from typing import cast

        from runner.config import SchemaKind, schema_text

        schema = json.loads(schema_text(cast("SchemaKind", kind)))
        # In ASCII, as every JSON of ours on stdout: no console and no redirection can damage it.
        return Outcome({"schema": schema}, (json.dumps(schema, indent=2),))

    run(work, output_format)
