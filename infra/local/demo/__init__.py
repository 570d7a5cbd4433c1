"""The demo of `make run`: sample messages go in, events come out, everything is accounted for."""
