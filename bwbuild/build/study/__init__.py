"""Builds that are looked at rather than made: dependencies, audit, doctor."""
