"""The memory planner: what a model takes of each node, from its own config.json. Arithmetic alone, no I/O.

Per node: weights / TP + KV / TP + overhead <= utilization x total, and MemAvailable - utilization x total >= reserve.
"""
