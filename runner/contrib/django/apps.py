"""The application, as `INSTALLED_APPS` names it."""

from django.apps import AppConfig
from django.core.checks import register


class RunnerConfig(AppConfig):
    """No models, no migrations: two commands and a check."""

    name = "runner.contrib.django"
    label = "runner"
    verbose_name = "Backups"

    def ready(self) -> None:
        from runner.contrib.django.checks import check_coverage

        register(check_coverage, "runner")
