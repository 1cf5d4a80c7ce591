#!/bin/sh
# Makes the folder `certificates`: an authority, the gateway's certificate, those of alice, bob, carol and a stranger, and a list
# that revokes carol's. They are for trying things out, and good for a day.
set -eu
mkdir certificates
cd certificates

authority() { # file, name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=$2" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$1.key" -out "$1.crt"
}

client() { # authority, name
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=Partner/CN=$2" -keyout "$2.key" -out "$2.csr"
    printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n' > client.ext
    openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" -CAcreateserial -days 1 -extfile client.ext -out "$2.crt"
}

authority partners "The partners' authority"
authority strangers "Another authority"
for name in alice bob carol; do client partners "$name"; done
client strangers stranger

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=localhost" \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout gateway.key -out gateway.crt

: > revoked.txt
printf '[ca]\ndefault_ca=partners\n[partners]\ndatabase=revoked.txt\ndefault_md=sha256\ndefault_crl_days=1\n' > ca.conf
openssl ca -config ca.conf -keyfile partners.key -cert partners.crt -revoke carol.crt
openssl ca -config ca.conf -keyfile partners.key -cert partners.crt -gencrl -out partners.crl
