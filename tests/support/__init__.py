"""What several kinds of tests share: fakes of the outer parts, and a small world made of them."""
