#!/bin/sh
# Signed and encrypted mails: the wrapping by openssl (smime and cms) and by gpg with a few lines of shell around it.
# The keys are made for the run and thrown away; the mails can be read, but nobody can vouch for them.
# usage: signed.sh MATERIAL OUTDIR
set -eu
material=$1 out=$2
work=$(mktemp -d); trap 'GNUPGHOME=$work/gnupg gpgconf --kill all; rm -rf "$work"' EXIT
HOME=$work LC_ALL=C.UTF-8; export HOME LC_ALL
cp "$material"/* "$work"; cd "$work"
crlf() { sed 's/\r*$/\r/' "$1"; }
letter() { python3 -c 'import json,sys; sys.stdout.write(json.load(open("letters.json", encoding="utf-8"))[int(sys.argv[1])][sys.argv[2]])' "$1" "$2"; }
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj "/CN=Anna Hale/emailAddress=anna.hale@example.org" 2> /dev/null

# the entities to sign: a text with letters outside ASCII as quoted-printable, one with an attachment, one html
{ printf 'Content-Type: text/plain; charset=us-ascii\n\n'; letter 0 text; } > plain.part
{ printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n'; letter 13 text | base64; } > czech.part
{ printf 'Content-Type: multipart/mixed; boundary="inner-1"\n\n--inner-1\nContent-Type: text/plain\n\nThe invoice is enclosed.\n\n--inner-1\nContent-Type: application/pdf; name="invoice.pdf"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename="invoice.pdf"\n\n'
  base64 invoice.pdf; printf '\n--inner-1--\n'; } > mixed.part
{ printf 'Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n'; letter 11 html | base64; } > html.part

n=0
for part in plain czech mixed html; do
    n=$((n + 1))
    openssl smime -sign -in $part.part -signer cert.pem -inkey key.pem -out "$out/openssl-smime-00$n.eml" -subject "Signed: $part" -from anna.hale@example.org -to bruno@example.net
done
openssl smime -sign -nodetach -in plain.part -signer cert.pem -inkey key.pem -out "$out/openssl-smime-005.eml" -subject "Signed, opaque" -from anna.hale@example.org -to bruno@example.net
openssl smime -encrypt -aes256 -in mixed.part -out "$out/openssl-smime-006.eml" -subject "Encrypted" -from anna.hale@example.org -to bruno@example.net cert.pem
openssl smime -sign -in plain.part -signer cert.pem -inkey key.pem | openssl smime -encrypt -aes256 -out "$out/openssl-smime-007.eml" -subject "Signed and encrypted" -from anna.hale@example.org -to bruno@example.net cert.pem
n=0
for part in plain mixed html; do
    n=$((n + 1)); openssl cms -sign -md sha512 -in $part.part -signer cert.pem -inkey key.pem -out "$out/openssl-cms-00$n.eml" -subject "CMS: $part" -from anna.hale@example.org -to bruno@example.net
done
openssl cms -encrypt -aes-256-gcm -in plain.part -out "$out/openssl-cms-004.eml" -subject "CMS enveloped" -from anna.hale@example.org -to bruno@example.net cert.pem
openssl cms -compress -in plain.part -out "$out/openssl-cms-005.eml" -subject "CMS compressed" -from anna.hale@example.org -to bruno@example.net 2> /dev/null || rm -f "$out/openssl-cms-005.eml"

# PGP/MIME (RFC 3156) and inline PGP
GNUPGHOME=$work/gnupg; export GNUPGHOME; mkdir -m 700 gnupg
gpg --batch --quiet --passphrase '' --quick-generate-key "Anna Hale <anna.hale@example.org>" rsa2048 sign,cert 1m 2> /dev/null
fingerprint=$(gpg --batch --list-keys --with-colons | awk -F: '/^fpr/ {print $10; exit}')
gpg --batch --quiet --passphrase '' --quick-add-key "$fingerprint" rsa2048 encr 1m 2> /dev/null
pgp() { gpg --batch --quiet --yes --trust-model always --armor --no-emit-version "$@"; }
heads() { printf 'From: Anna Hale <anna.hale@example.org>\nTo: bruno@example.net\nSubject: %s\nMIME-Version: 1.0\n' "$1"; }
n=0
for part in plain czech mixed html; do
    n=$((n + 1))
    crlf $part.part > entity; pgp --detach-sign --digest-algo SHA256 -o signature entity
    { heads "OpenPGP: $part"
      printf 'Content-Type: multipart/signed; micalg=pgp-sha256;\n\tprotocol="application/pgp-signature"; boundary="signed-%s"\n\nThis is an OpenPGP/MIME signed message (RFC 4880 and 3156)\n--signed-%s\n' $n $n
      cat entity; printf '\n--signed-%s\nContent-Type: application/pgp-signature; name="signature.asc"\nContent-Description: OpenPGP digital signature\nContent-Disposition: attachment; filename="signature.asc"\n\n' $n
      cat signature; printf '\n--signed-%s--\n' $n; } > "$out/gpg-00$n.eml"
done
crlf mixed.part | pgp --encrypt -r anna.hale@example.org -o secret
{ heads "..."; printf 'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="enc"\n\n--enc\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n--enc\nContent-Type: application/octet-stream; name="encrypted.asc"\nContent-Disposition: inline; filename="encrypted.asc"\n\n'
  cat secret; printf '\n--enc--\n'; } > "$out/gpg-005.eml"
{ heads "Inline signature"; printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n'; letter 13 text | pgp --clearsign; } > "$out/gpg-006.eml"
{ heads "My key"; printf 'Content-Type: multipart/mixed; boundary="key"\n\n--key\nContent-Type: text/plain\n\nHere is my key.\n--key\nContent-Type: application/pgp-keys; name="key.asc"\nContent-Disposition: attachment; filename="key.asc"\n\n'
  pgp --export anna.hale@example.org; printf '\n--key--\n'; } > "$out/gpg-007.eml"
