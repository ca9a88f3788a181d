"""The simulated exchange: a server on loopback that trades by a seeded process, fails on command, knows its truth."""
