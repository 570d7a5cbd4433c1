"""session: logs in to Arena, alone in this stack."""
