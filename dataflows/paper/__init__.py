"""The dataflow that trades on paper: ticks, closed bars and controls in, orders, fills and equity in the book out.

Step ids, the one key and the snapshots' layouts are recovery data: a change of one is a breaking change.
"""
