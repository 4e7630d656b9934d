"""runner inside a Django project: `INSTALLED_APPS = [..., "runner.contrib.django"]`.

It adds `manage.py backup_data` and `manage.py restore_data`, which do what `runner apply` and `runner restore` do, and
a system check that warns of a database, or of uploads, that no profile backs up.
"""
