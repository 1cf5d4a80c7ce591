"""What tests of the whole gateway are made with: a recording backend, a raw client, the real process, tokens.

Everything here is real: sockets, keys, files and the `microgate` command. Fixtures in tests/conftest.py hand it out.
"""
