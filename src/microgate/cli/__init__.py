"""The command line: main.py declares the commands, one file per command, console.py prints."""
