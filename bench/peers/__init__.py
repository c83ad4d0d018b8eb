"""Peers of the benchmarks that run in virtual environments of their own.

They share no dependency with the product. `environment` makes the environments.
"""
