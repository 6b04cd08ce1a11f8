"""The command line: options, sentences, exit codes.

Begin with `command`; each command is a module of `commands`.
"""
