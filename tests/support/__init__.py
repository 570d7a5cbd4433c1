"""What several kinds of tests share: fakes of the ports, and a small world made of them."""
