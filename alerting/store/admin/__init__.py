"""Who may act, what they set and what they must look at: people, keys, policies, alarms."""
