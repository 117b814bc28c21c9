#!/bin/sh
# Patches as git writes them: format-patch (the file) and send-email (the mail, caught by a script in place of sendmail).
# usage: git_mail.sh MATERIAL OUTDIR
set -eu
out=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export HOME="$work" GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
cat > "$work/sendmail" <<EOF
#!/bin/sh
n=\$(cat "$work/count" 2>/dev/null || echo 0); n=\$((n + 1)); echo \$n > "$work/count"
cat > "\$(printf '$out/git-send-email-%03d.eml' \$n)"
EOF
chmod +x "$work/sendmail"
mkdir "$work/tree"; cd "$work/tree"; git init -q -b main .
git config user.name "Žofie Černá"; git config user.email zofie.cerna@brod.example
commit() { GIT_AUTHOR_DATE="$1 +0100" GIT_COMMITTER_DATE="$1 +0100" git commit -q -a --author="$2" -m "$3"; }
printf 'lamp\n' > list; git add list; commit 1772000000 "Anna Hale <anna.hale@example.org>" "Begin the list"
printf 'lamp\ncloth\n' > list; commit 1772100000 "Anna Hale <anna.hale@example.org>" "Add a cloth

From time to time tables need a cloth.

Signed-off-by: Anna Hale <anna.hale@example.org>"
printf 'lampa\nubrus – žlutý\n' > list; commit 1772200000 "Žofie Černá <zofie.cerna@brod.example>" "Přelož seznam do češtiny, aby mu rozuměli i zahradníci z Brodu

Žluťoučký kůň."
printf '.lampa\n\n.\nFrom here on\n' > list; commit 1772300000 "山田 花子 <hanako@sakura.example>" "Lines with dots: edge cases of mail"
printf 'bytes \000\001\002 here' > data.bin; git add data.bin; commit 1772400000 "Jürgen Groß <juergen.gross@werk.example>" "Add binary data"
printf 'one line\r\nwith return\r\n' > dos.txt; git add dos.txt; commit 1772500000 "Bruno Keel <bruno@example.net>" "Add a file with CRLF"
number=0
keep() { for f in "$work"/patches/*; do number=$((number + 1)); mv "$f" "$out/$(printf 'git-format-patch-%03d.eml' $number)"; done; }
git format-patch -q -o "$work/patches" --root HEAD; keep
git format-patch -q -o "$work/patches" --attach --to=list@lists.example.org -3; keep
git format-patch -q -o "$work/patches" --inline --subject-prefix="PATCH v2" --thread=deep --cover-letter -1; keep
send() { git send-email --quiet --confirm=never --suppress-cc=all --smtp-server="$work/sendmail" --to=list@lists.example.org \
    --from="Žofie Černá <zofie.cerna@brod.example>" "$@" > /dev/null; }
send --cc="山田 花子 <hanako@sakura.example>" -5
send --compose-encoding=UTF-8 --transfer-encoding=base64 -1
send --transfer-encoding=quoted-printable -2
