"""Writes Grafana's dashboards: `make dashboards` makes monitoring/grafana/dashboards/*.json.

docs/decisions/0018-dashboards-by-our-own-generator.md says why Grafana's SDK is not used.
"""
