"""The guard inside other frameworks' agents: one module a framework, each needing its package alone.

    from spanhouse_runtime import Guard, Policy
    from spanhouse_runtime.adapters.pydantic_ai import GuardedModel, GuardedToolset

    guard = Guard("support-agent", policy=Policy(allow=("lookup_*",)))
    agent = Agent(GuardedModel(model), toolsets=[GuardedToolset(toolset)])
    with guard.run("refund", request_id="req-1"):
        agent.run_sync("Refund order A-1042")

What is wrapped refuses to work outside a guarded run.
"""
