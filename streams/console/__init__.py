"""The console: pages for people, made of the answers of the API and of nothing else."""
