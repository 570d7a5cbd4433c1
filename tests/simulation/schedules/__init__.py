"""Bounded schedules: functions that run at once and are switched as a policy says."""
