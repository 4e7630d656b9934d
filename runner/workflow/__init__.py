"""Recipes: one file a command, each read from top to bottom. The only place where rooms meet."""
