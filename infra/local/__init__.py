"""The local stack: an embedded AWS, the Arena simulator and the commands around them."""
