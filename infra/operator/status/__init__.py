"""The function that shows the status on the dashboard."""
