"""Shared by several kinds of tests: fakes of the ports, and a small world made of them."""
