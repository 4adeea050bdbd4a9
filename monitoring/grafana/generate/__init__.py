"""Grafana's dashboards, written from Python: `make dashboards` makes monitoring/grafana/dashboards/*.json.

Chosen over Grafana's foundation SDK, whose newest release on PyPI that pip picks targets Grafana 10 (the one
for 11.6 leaves out refIds and fails the schema of 13), and over Jsonnet: one language less.
"""
