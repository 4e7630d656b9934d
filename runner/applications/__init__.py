"""Applications whose own settings say where their database and their files are.

Owns how such settings are read: by the application's own Python, in a child process, so that runner needs nothing that
the application needs. It must not know of profiles.
"""
