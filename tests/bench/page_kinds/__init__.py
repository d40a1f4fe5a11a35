"""Generates pages with known text.

`words` generates the text, `fonts` loads the fonts, `sheet` and `page` draw the text and record it, `kinds`, `bills`
and `layouts` define the pages, and `camera` simulates rotation, skew and photography.
"""
