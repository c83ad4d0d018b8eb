"""The pipeline: sources, pure stages, and the engines that run them."""
