"""The host's end of docs/link-protocol.md: frames, messages, requests, and a Board made of them."""
