"""Roles of a team of models on two Sparks: one that always serves, and three that take turns."""

from pathlib import Path

from config_world import TWO_SPARKS, World

from sparkctl.config.load import Config

GIB_KB = 2**20
TEXT = """
name: team
image: {ref: 'registry.lab:5000/vllm:1'}
host: {gpu: '', reserve_gib: 10}
engine: {overhead_gib: 4, weights_gib: 18}
models:
  helper:
    model: {id: lab/helper}
    nodes: [1]
    ports: {api: 8010}
    engine: {gpu_memory_utilization: 0.5}
  architect:
    model: {id: lab/architect}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.5}
    role: {temperature: 0.1, sleep: true}
  dev:
    model: {id: lab/dev}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.6}
    ports: {api: 8001}
    role: {temperature: 0.3}
  po:
    model: {id: lab/po}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.15, weights_gib: 5}
    ports: {api: 8002}
    role: {temperature: 0.5}
timeouts: {ready_s: 120}
"""
TOKEN = 'health=200\ndata: {"choices": [{"text": "a"}]}\ndata: [DONE]\ncompletion=200\ncurl=0'


def team(tmp_path: Path) -> Config:
    """The configuration of the profile; a test file makes its fixture of it."""
    return World(tmp_path).shared(**TWO_SPARKS).profile("team", TEXT).load("team")
