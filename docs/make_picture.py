"""Writes docs/picture.svg: a real run of the demonstration, as a terminal shows it.

python docs/make_picture.py
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent / "picture.svg"
COLUMNS = 110
COMMANDS = (["demo", "school"], ["list", "demo"], ["verify", "demo"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for number, command in enumerate(COMMANDS):
            words = ["--quiet", *command]
            where = Path(folder) / ("school" if number else "")
            done = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "runner", *words],
                cwd=where,
                env={**os.environ, "COLUMNS": "400"},
                capture_output=True,
                text=True,
                check=True,
            )
            console.print(Text.assemble(("$ ", "bold green"), ("runner " + " ".join(command), "bold")))
            console.print(Text(done.stdout.replace(f"{folder}/", "").rstrip()), soft_wrap=True)
            console.print()
        svg = console.export_svg(title="runner")
    # The fonts of a page are its own business; the picture must not fetch any.
    TARGET.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
