"""The folder of uploaded files: which files, in which order, read how, and what the database's paths mean in it.

Nothing here knows of archives or databases.
"""
