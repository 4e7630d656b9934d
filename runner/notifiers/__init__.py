"""Tells somebody how a backup ended: by mail, webhook, ping, or one of the services that Apprise knows.

`base` is what is told, `sending` the way to each service; the second is imported when there is something to tell.
"""
