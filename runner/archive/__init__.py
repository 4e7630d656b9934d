"""The archive: one zip in which every byte is covered.

`layout` knows the bytes of the ZIP structures, `names` which member names are safe, `writer` and `reader` the order of
members, `manifest` and `inventory` the two records that describe all of it, `legacy` the archives of older scripts.
Nothing here knows where the content came from or where the archive goes.
"""
