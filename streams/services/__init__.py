"""What engines, HTTP and pollers share: intake, approvals, quotas, hunts."""
