"""Loopback servers that speak other people's contracts to the real client."""
