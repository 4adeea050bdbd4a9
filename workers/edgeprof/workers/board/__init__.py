"""What a board is to its host: what it can be asked, who holds its port, how it is reset, flashed and metered.

Imports no link: docs/link-protocol.md is the business of the link package.
"""
