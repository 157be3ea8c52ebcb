"""The thin agent runtime: a step loop with limits, budgets, policy, a loop guard and an operator's stop."""
