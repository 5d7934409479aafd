"""What every room of the platform stands on: events, tables, principals, agents as configured, their runs."""
