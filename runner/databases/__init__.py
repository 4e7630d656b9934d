"""Databases: capture one state of one, as parts of a dump. One engine a folder or file; `base` is the contract."""
