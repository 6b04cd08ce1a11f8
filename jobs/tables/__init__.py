"""Strangers' tables: CSV, JSON lines, Parquet and workbooks, read in a process that may die of them.

Begin with `table_reader`; `sandbox` is the process, `coercion` what single cells mean, `row_errors` what is wrong with
rows.
"""
