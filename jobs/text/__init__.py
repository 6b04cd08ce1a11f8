"""Texts for people: any value as words, short and without secrets.

Begin with `value_text`; `public_text` is what pages may show, `wording` how sentences name values.
"""
