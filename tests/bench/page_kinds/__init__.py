"""Generates pages with known text.

`words` generates the text, `fonts` loads the fonts, `sheet` and `page` draw the text and record it, `kinds` and `bills`
define the layouts, and `camera` simulates rotation, skew and photography.
"""
