"""deliver: downloads the files of completed runs into S3, and publishes what it delivered."""
