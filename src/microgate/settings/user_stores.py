"""Settings of users for Basic authentication: how many wrong passwords are borne, and where users are beside `[b7a.users]`."""

from typing import Annotated, Literal

import msgspec

from microgate.settings.section import Section, acts


class BasicAuth(Section, frozen=True):
    """Basic authentication."""

    failures_per_address: Annotated[
        int, acts("wrong passwords that a worker bears from one address in the window; 0 for any number", low=0)
    ] = 30
    failures_per_user: Annotated[
        int, acts("wrong passwords that a worker bears for one user in the window; 0 for any number", low=0)
    ] = 30
    failure_window: Annotated[int, acts("seconds", low=1, high=86_400)] = 60
    failure_cache_time: Annotated[
        int, acts("seconds for which a wrong password stays wrong without another look", low=0, high=300)
    ] = 5
    hash_threads: Annotated[int, acts("threads of a worker for slow hashes", low=1, high=16)] = 1


class UserStore(Section, frozen=True):
    """A place with users, asked after `[b7a.users]` and the stores before it."""

    type: Annotated[Literal["htpasswd", "sqlite", "ldap", "python"], acts("what it is")]
    name: Annotated[str, acts("how logs call it; empty for the type")] = ""
    when_down: Annotated[
        Literal["refuse", "next"], acts("what happens while it gives no answer: 503, or the next store is asked")
    ] = "refuse"
    cache_time: Annotated[int, acts("seconds for which a right password stays right", low=0, high=86_400)] = 300
    timeout: Annotated[int, acts("milliseconds within which it must answer", low=1, high=60_000)] = 5_000
    scopes: Annotated[str, acts("scopes that all its users have, comma separated")] = ""
    file: Annotated[str, acts("the file of `htpasswd` and `sqlite`")] = ""
    query: Annotated[
        str, acts("`sqlite`: gives the stored password, and scopes where there is a second column, of `:user`")
    ] = "SELECT password, scopes FROM users WHERE name = :user"
    provider: Annotated[str, acts("`python`: `module:function` of the project's extensions")] = ""
    url: Annotated[str, acts("`ldap`: `ldaps://host` or `ldap://host`, with a port where it is another one")] = ""
    start_tls: Annotated[bool, acts("`ldap`: turn to TLS on the port of `ldap://`")] = False
    ca_file: Annotated[str, acts("`ldap`: PEM file with authorities; empty for the system's")] = ""
    user_dn: Annotated[str, acts("`ldap`: the user's name in the directory, as `uid={user},ou=people,dc=example`")] = ""
    bind_dn: Annotated[str, acts("`ldap`: who searches; empty for anonymous")] = ""
    bind_password: Annotated[str, acts("`ldap`: its password", secret=True)] = ""
    search_base: Annotated[str, acts("`ldap`: where users are searched, instead of `userDn`")] = ""
    search_filter: Annotated[str, acts("`ldap`: which entry is the user's")] = "(uid={user})"
    scope_attribute: Annotated[str, acts("`ldap`: attribute of the user with scopes")] = ""
    group_base: Annotated[str, acts("`ldap`: where groups are searched; empty for no groups")] = ""
    group_filter: Annotated[str, acts("`ldap`: which groups are the user's; knows `{dn}` and `{user}`")] = (
        "(member={dn})"
    )
    group_attribute: Annotated[str, acts("`ldap`: attribute with a group's name")] = "cn"
    group_scopes: Annotated[
        dict[str, str], acts("`ldap`: scopes of groups, comma separated; without any, groups are scopes")
    ] = msgspec.field(default_factory=dict)
    connections: Annotated[int, acts("`ldap`: connections of a worker", low=1, high=64)] = 4
