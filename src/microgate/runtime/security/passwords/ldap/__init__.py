"""A small client of LDAPv3 (RFC 4511) for the user store of that name: bind, search, StartTLS, and nothing that changes a
directory.
"""
