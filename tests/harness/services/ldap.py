"""OpenLDAP for tests: a directory with a few people and groups, in the clear, with StartTLS, and over TLS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.services import Program, free_port, require

if TYPE_CHECKING:
    from pathlib import Path

    from harness.credentials import ServerIdentity

BASE = "dc=example,dc=com"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "reads"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {certificate}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
pidfile {folder}/slapd.pid
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
rootpw secret
directory {folder}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth
access to * by dn.exact="{reader}" read by self read by anonymous auth
"""

_ENTRIES = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Example

dn: {PEOPLE}
objectClass: organizationalUnit

dn: {GROUPS}
objectClass: organizationalUnit

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: {READER_PASSWORD}

dn: uid=ann,{PEOPLE}
objectClass: inetOrgPerson
cn: Ann
sn: A
userPassword: annspass
description: profile email

dn: uid=bob,{PEOPLE}
objectClass: inetOrgPerson
cn: Bob
sn: B
userPassword: bobs:pass

dn: uid=o\\2cdd (x)*,{PEOPLE}
objectClass: inetOrgPerson
cn: Odd
sn: O
userPassword: oddpass

dn: uid=twin,{PEOPLE}
objectClass: inetOrgPerson
cn: Twin
sn: T
userPassword: twinpass

dn: uid=twin,{GROUPS}
objectClass: inetOrgPerson
cn: Twin
sn: T
userPassword: twinpass

dn: cn=readers,{GROUPS}
objectClass: groupOfNames
member: uid=ann,{PEOPLE}
member: uid=bob,{PEOPLE}

dn: cn=writers,{GROUPS}
objectClass: groupOfNames
member: uid=ann,{PEOPLE}
member: uid=o\\2cdd (x)*,{PEOPLE}
"""


class Directory(Program):
    """`with Directory(folder, identity) as directory:`."""

    def __init__(self, folder: Path, identity: ServerIdentity) -> None:
        program = require("slapd")
        (folder / "data").mkdir(parents=True)
        configuration = folder / "slapd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                base=BASE,
                reader=READER,
                folder=folder,
                certificate=identity.certificate_file,
                key=identity.private_key_file,
            )
        )
        subprocess.run(
            [require("slapadd"), "-q", "-f", str(configuration)],
            input=_ENTRIES.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        port = free_port()
        self.tls_port = free_port()
        addresses = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{self.tls_port}"
        super().__init__(folder, [program, "-d", "0", "-f", str(configuration), "-h", addresses], port)

    @property
    def url(self) -> str:
        return f"ldap://localhost:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"
