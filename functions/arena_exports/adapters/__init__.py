"""Implementations of the ports, on AWS services, HTTP and Powertools."""
