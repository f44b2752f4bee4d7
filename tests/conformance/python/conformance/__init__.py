"""The conformance list of ../../checks.json, written against Microsoft's Python SDK."""
