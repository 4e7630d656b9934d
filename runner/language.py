"""Which language people are told in, and the catalog of its translations.

Catalogs are GNU gettext's: `locale/LANGUAGE/LC_MESSAGES/runner.po`, compiled to `.mo` when the package is built.
Without one the text is English. JSON, logs and manifests are always English.
"""

import gettext
import locale
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runner.messages import language_in_use, use_language

LANGUAGES: Final = ("en", "fr")
DOMAIN: Final = "runner"
FOLDER: Final = Path(__file__).parent / "locale"

_UNASKED: Final = object()


class _Found:
    """What `LANGUAGE` was before `speak` set it."""

    language: object = _UNASKED


_OF_THE_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


def chosen(environ: Mapping[str, str]) -> str:
    """`RUNNER_LANG`, otherwise the language of the locale; English where that is none of ours."""
    said = environ.get("RUNNER_LANG", "").lower()
    if said[:2] in LANGUAGES:
        return said[:2]
    named = next((environ[name] for name in _OF_THE_LOCALE if environ.get(name)), None)
    if named is None and os.name == "nt":
        named = locale.getlocale()[0]  # `French_France`
    return "fr" if (named or "").lower().startswith("fr") else "en"


def speak(language: str) -> None:
    """From now on people are told in `language`, by click too, which asks the environment of the process."""
    use_language(language, _catalog(language))
    if _Found.language is _UNASKED:
        _Found.language = os.environ.get("LANGUAGE")
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)


def environment_found() -> dict[str, str]:
    """The environment of this process as it was found, for programs that it starts: their language is not ours."""
    environ = dict(os.environ)
    if isinstance(_Found.language, str):
        environ["LANGUAGE"] = _Found.language
    elif _Found.language is None:
        environ.pop("LANGUAGE", None)
    return environ


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """For what is said in this block; `auto` changes nothing."""
    before = language_in_use()
    if language in LANGUAGES:
        use_language(language, _catalog(language))
    try:
        yield
    finally:
        use_language(before, _catalog(before))


def _catalog(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, FOLDER, [language], fallback=True)
