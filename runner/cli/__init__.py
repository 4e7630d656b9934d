"""The command line: the only place that parses arguments, prompts, prints or exits."""
