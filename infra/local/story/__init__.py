"""The main job as `make run` shows it: sample messages in, events out, everything accounted for."""
