"""Schedules with a bound: functions that run at once, switched where a policy says."""
