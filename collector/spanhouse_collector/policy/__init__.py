"""What each tenant wants done with its content before it is stored: the policy file, read and merged."""

from spanhouse_collector.policy.file import PolicyError, PolicyFile, read
from spanhouse_collector.policy.model import Effective, Mode, Pattern, Policy, TenantPolicy

__all__ = ["Effective", "Mode", "Pattern", "Policy", "PolicyError", "PolicyFile", "TenantPolicy", "read"]
