"""Isolated execution: what runs programs that nobody trusts, without our files, our network or our secrets.

`jobs` says what is to run and what came of it, `launching` runs it, `report` says what isolation this host gives.
"""
