"""The messages of docs/link-protocol.cddl: one typed class a request, reply, event and part of one.

`codec` turns a class into a CBOR payload and back; the other modules say what the classes hold.
Whoever sends or reads a message of the link uses these classes, never a key's number.
"""
