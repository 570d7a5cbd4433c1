"""The status of a stack as HTML: a page on the local stack, a widget on the dashboard.

`views` is pure: answers go in, markup comes out. `source` reads the answers.
"""
