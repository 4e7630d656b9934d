"""Turns a reference to a secret into its value, at the moment a step needs it."""

import os

from runner.errors import ConfigurationInvalid, RunnerError, StepFailed
from runner.messages import Message, msg
from runner.model.secret import CommandSecret, EnvironmentSecret, FileSecret, Secret, SecretReference
from runner.process import run


def resolve(reference: SecretReference) -> Secret:
    """Raises ConfigurationInvalid, naming the reference, when there is no usable value; never shows one."""
    value = _read(reference)
    if "\0" in value or any("\udc80" <= character <= "\udcff" for character in value):
        raise _missing(reference, msg("what is there is no text in UTF-8; write it again"))
    return Secret(value.removesuffix("\n").removesuffix("\r"))


def missing(reference: SecretReference | None) -> list[RunnerError]:
    """Why it is not there, where that can be told without a program: a `command` is not run for this."""
    if isinstance(reference, EnvironmentSecret | FileSecret):
        try:
            resolve(reference)
        except ConfigurationInvalid as error:
            return [error]
    return []


def _read(reference: SecretReference) -> str:
    match reference:
        case EnvironmentSecret(variable):
            value = os.environ.get(variable)
            if value is None:
                raise _missing(reference, msg("set it, or use `file:` or `command:` in the profile"))
            return value
        case FileSecret(path):
            try:
                return path.read_text("utf-8-sig")  # editors on Windows put a mark in front
            except (OSError, UnicodeDecodeError):
                raise _missing(reference, msg("check that the file is there, readable and in UTF-8")) from None
        case CommandSecret(arguments):
            try:
                return run(arguments).decode("utf-8")
            except (StepFailed, UnicodeDecodeError):
                # The program's own words could hold what it failed to hand over.
                raise _missing(reference, msg("run the command by hand and see what it says")) from None


def _missing(reference: SecretReference, hint: Message) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        msg("the secret in {reference} is not there", reference=str(reference)),
        (),
        hint=hint,
    )
