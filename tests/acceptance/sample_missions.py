"""Missions that only tests run; workers get them through MISSIONS_MODULES."""
