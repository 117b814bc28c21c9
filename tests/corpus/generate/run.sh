#!/bin/sh
# Makes tests/corpus/ordinary, hostile and deceptive anew. See README.md for what must be installed.
# usage: run.sh            (NODE_PATH must name a node_modules with nodemailer)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${CORPUS_INSIDE:-}" ]; then
    # An own UTS name space: some generators write the host name into their mails.
    CORPUS_INSIDE=1; export CORPUS_INSIDE
    exec unshare --user --map-root-user --uts sh -c 'hostname mail.example.org && exec sh "$0"' "$here/run.sh"
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir "$work/raw"
python3 "$here/material.py" "$work/material"
each() { echo "$*" >&2; "$@" "$work/material" "$work/raw"; }
cd "$here"
each python3 python_legacy.py
each python3 python_modern.py
each perl mime_lite.pl
each perl email_mime.pl
each perl mime_entity.pl
each node nodemailer.js
each php -d include_path=/usr/share/php phpmailer.php
each ruby ruby_mail.rb
each sh mutt.sh
each sh git_mail.sh
each sh tools.sh
each sh signed.sh
rm -f ../ordinary/*.eml
python3 deliver.py "$work/raw" ../ordinary
python3 hostile.py ..
