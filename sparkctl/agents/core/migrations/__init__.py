"""How the tables came to be, one module a change; `Database.migrate` runs what a database lacks."""
