"""Whether a board is sound: what it is asked, what it must answer, and when it is tested.

A self-test works on a board that its worker has open. It claims no job, and must not import
`worker`.
"""
