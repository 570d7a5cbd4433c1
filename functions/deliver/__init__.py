"""deliver: records export requests and starts the next Arena export run."""
