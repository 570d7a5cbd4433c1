"""publish: publishes the outcome of an ended run, settles its requests, and frees the lease."""
