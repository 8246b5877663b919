"""What stands behind `missions.library.tools`: a module a tool, and what it needs."""
