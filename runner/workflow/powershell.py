"""The two PowerShell scripts that people used to type, as doors to a profile: `runner init --powershell`.

They are for Windows PowerShell 5.1 and for PowerShell 7: UTF-8 with a byte order mark, without which 5.1 takes them for
the machine's code page, and CRLF. Their help is in French and English.
"""

from pathlib import Path
from typing import Final

from runner.errors import Refused
from runner.messages import msg

BACKUP: Final = "backup_data.ps1"
RESTORE: Final = "restore_data_latest.ps1"

_COMMON: Final = r"""
$root = $PSScriptRoot
$runner = $null
foreach ($place in @('.venv\Scripts\runner.exe', 'venv\Scripts\runner.exe', '.venv/bin/runner', 'venv/bin/runner')) {
    $candidate = Join-Path -Path $root -ChildPath $place
    if (-not $runner -and (Test-Path -LiteralPath $candidate -PathType Leaf)) {
        $runner = $candidate
    }
}
if (-not $runner) {
    $found = Get-Command -Name 'runner' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($found) {
        $runner = $found.Path
    }
}
if (-not $runner) {
    [Console]::Error.WriteLine('runner est introuvable / runner was not found: .venv\Scripts\runner.exe, PATH')
    exit 14
}
if ($OnlyDb -and $OnlyMedia) {
    [Console]::Error.WriteLine('-OnlyDb et/and -OnlyMedia: choisissez / choose one')
    exit 2
}

# Windows PowerShell 5.1 loses a closing quote after a backslash, so a folder goes without its last one.
function Get-Plain([string]$Path) {
    if ($Path.Contains(' ')) {
        return $Path.TrimEnd('\')
    }
    return $Path
}
"""

_BACKUP: Final = (
    r"""<#
.SYNOPSIS
Sauvegarde la base de données et les fichiers : une archive zip, vérifiée.
Backs the database and the uploaded files up: one verified zip.

.DESCRIPTION
Le profil `@PROFILE@` dit quoi et où. Le code de sortie est celui de runner : 0 fait, 3 fait avec des avertissements.
The profile `@PROFILE@` says what and where. The exit code is runner's: 0 done, 3 done with warnings.

.PARAMETER OnlyDb
La base de données seule. The database alone.

.PARAMETER OnlyMedia
Les fichiers seuls. The uploaded files alone.

.PARAMETER Dest
Le dossier de l'archive, pour cette fois. The folder for the archive, this once.

.EXAMPLE
.\backup_data.ps1

.EXAMPLE
.\backup_data.ps1 -OnlyDb

.EXAMPLE
.\backup_data.ps1 -Dest "D:\Mes sauvegardes"
#>
[CmdletBinding()]
param(
    [switch]$OnlyDb,
    [switch]$OnlyMedia,
    [string]$Dest
)
"""
    + _COMMON
    + r"""
$arguments = @('-c', (Join-Path -Path $root -ChildPath 'backup.yml'), 'apply', '@PROFILE@')
if ($OnlyDb) { $arguments += @('--variant', 'db-only') }
if ($OnlyMedia) { $arguments += @('--variant', 'media-only') }
if ($Dest) { $arguments += @('--dest', (Get-Plain $Dest)) }

$global:LASTEXITCODE = 14  # for a program that cannot be started
& $runner @arguments
exit $LASTEXITCODE
"""
)

_RESTORE: Final = (
    r"""<#
.SYNOPSIS
Restaure la dernière sauvegarde, ou celle que nomme -File : la base et les fichiers ensemble, ou rien.
Restores the newest backup, or the one that -File names: database and files together, or nothing.

.DESCRIPTION
Ce qui est remplacé est gardé dans backups_local ; `runner undo @PROFILE@` revient à l'état d'avant. Sans -Force, une
question est posée. What is replaced is kept in backups_local; `runner undo @PROFILE@` brings it back. Without -Force
there is a question first.

.PARAMETER File
Un nom, un chemin, ou un motif (le plus récent est pris). A name, a path, or a pattern (its newest match is taken).

.PARAMETER OnlyDb
La base de données seule. The database alone.

.PARAMETER OnlyMedia
Les fichiers seuls. The uploaded files alone.

.PARAMETER Force
Ne pas poser de question. Do not ask.

.PARAMETER TrustSql
Exécuter le SQL d'une ancienne archive avec un rôle superutilisateur : seulement si vous savez d'où elle vient.
Run the SQL of an old archive as a superuser: only when you know where it came from.

.EXAMPLE
.\restore_data_latest.ps1

.EXAMPLE
.\restore_data_latest.ps1 -File "D:\Tests\school_backup_*.zip" -OnlyMedia

.EXAMPLE
.\restore_data_latest.ps1 -File "C:\Backups\school_backup_20260108_110353.zip" -Force
#>
[CmdletBinding()]
param(
    [string]$File,
    [switch]$OnlyDb,
    [switch]$OnlyMedia,
    [switch]$Force,
    [switch]$TrustSql
)
"""
    + _COMMON
    + r"""
$arguments = @('-c', (Join-Path -Path $root -ChildPath 'backup.yml'), 'restore', '@PROFILE@')
if ($File) { $arguments += $File }
if ($OnlyDb) { $arguments += @('--variant', 'db-only') }
if ($OnlyMedia) { $arguments += @('--variant', 'media-only') }
if ($Force) { $arguments += '--yes' }
if ($TrustSql) { $arguments += '--trust-sql' }

$global:LASTEXITCODE = 14  # for a program that cannot be started
& $runner @arguments
$code = $LASTEXITCODE
if ($code -eq 15 -and -not ($Force -and $TrustSql)) {
    [Console]::Error.WriteLine('Ici / here: --yes = -Force, --trust-sql = -TrustSql')
}
exit $code
"""
)


def scripts(folder: Path) -> tuple[Path, Path]:
    """Where the two scripts go."""
    return folder / BACKUP, folder / RESTORE


def refuse_to_replace(folder: Path) -> None:
    """Raises Refused where a script of that name is there: it may be the one that this tool replaces."""
    there = [path for path in scripts(folder) if path.exists()]
    if there:
        names = ", ".join(f"`{path.name}`" for path in there)
        hint = msg("rename it, for example `Rename-Item {name} old_{name}`, and run this again", name=there[0].name)
        raise Refused(msg("there is one already: {names}", names=names), where=str(folder), hint=hint)


def write_scripts(folder: Path, profile: str) -> tuple[Path, Path]:
    """Write both for `profile`, whose name is letters, digits, `.`, `_` and `-`. Raises Refused."""
    refuse_to_replace(folder)
    try:
        for path, text in zip(scripts(folder), (_BACKUP, _RESTORE), strict=True):
            with path.open("x", encoding="utf-8-sig", newline="\r\n") as file:
                file.write(text.replace("@PROFILE@", profile))
    except OSError as error:
        message = msg("it cannot be written: {reason}", reason=error.strerror or str(error))
        raise Refused(message, where=str(error.filename), hint=msg("make the folder writable")) from None
    return scripts(folder)
