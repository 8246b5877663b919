"""The pages of policies: list, policy, versions and their differences, and the editor of a draft."""
