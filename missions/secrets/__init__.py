"""Secrets by reference: where their values lie, who may ask for them, and keeping them out of all else."""
