"""What runs inside the agent containers: gateway, agents, index, sandbox, web UI. It knows no SSH and no Docker."""
