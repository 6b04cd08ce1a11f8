"""The commands of `pressrun`, one module each: its options (`add`), what it calls, and how that is said.

A new command is a module here with `add(commands)`, named in `jobs.cli.command.COMMANDS`.
"""
