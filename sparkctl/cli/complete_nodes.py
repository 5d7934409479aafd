"""Names for shell completion, read cheaply: no configuration is checked, no node is asked."""


def complete_profiles() -> list[str]:
    return []
