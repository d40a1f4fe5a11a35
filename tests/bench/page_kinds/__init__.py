"""Makes pages whose text is known exactly.

`words` writes it, `fonts` are what it is set in, `sheet` and `page` are what it is set on, `kinds` and `bills` say how, and
`camera` is what happens to a page on its way into a file.
"""
