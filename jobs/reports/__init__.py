"""Pages and tables for people: contact sheet, matrix, differences, sidecar.

Begin with `contact_sheet` and `page`.
"""
