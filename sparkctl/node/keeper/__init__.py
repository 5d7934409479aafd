"""Keeps the stacks of one cluster: brings them back after a power cycle, and finishes or undoes a change cut short.

Runs on the head as root: under systemd (`watch`), and once for what sparkctl asks (`commit`, `restore`, `forget`).
It starts containers that sparkctl made, and makes none. It never restarts an engine that ended by itself: one try for
each boot of a node. Beside the package lie, for root alone, `units/<unit>/good.json` (what served last), `wish.json`
(a change in progress), `note.json` (what there is to say), `tried.json` (the boots for which it tried), `history/`
and `secrets/`. Standard library only: the package is copied to the head as it is.
"""
