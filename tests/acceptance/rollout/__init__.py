"""Two releases of one installation: their missions, and what the second one changes in the database.

`first` and `second` are what a worker of each gets through MISSIONS_MODULES. The second release runs with `settings`,
which install this package as an app with a migration; the first one knows nothing of it.
"""
