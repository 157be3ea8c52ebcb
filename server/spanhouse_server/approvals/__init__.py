"""Questions of agents to people, and their answers."""
