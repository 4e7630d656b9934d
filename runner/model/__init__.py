"""The nouns of this project as frozen data. Nothing here reads a file, a clock, an environment or a server."""
