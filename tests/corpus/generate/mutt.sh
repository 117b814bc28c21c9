#!/bin/sh
# Mails as mutt writes them in batch mode; a script in the place of sendmail catches them.
# usage: mutt.sh MATERIAL OUTDIR
set -eu
material=$1 out=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
HOME=$work; export HOME
cat > "$work/sendmail" <<EOF
#!/bin/sh
cat > "$work/caught"
EOF
chmod +x "$work/sendmail"
cat > "$work/rc" <<EOF
set sendmail="$work/sendmail" hostname=mail.example.org from="Anna Hale <anna.hale@example.org>" realname="Anna Hale"
set use_from=yes use_envelope_from=no copy=no charset=utf-8 use_domain=no
EOF
cp "$material"/* "$work"; cd "$work"
# names with blanks and with letters outside ASCII
cp table.csv "ceník příloha.csv"; cp invoice.pdf "invoice of April 2026.pdf"; cp archive.zip "注文書.zip"
letter() { python3 -c 'import json,sys; sys.stdout.write(json.load(open("letters.json", encoding="utf-8"))[int(sys.argv[1])][sys.argv[2]])' "$1" "$2"; }
count=0
mail() { # mail LETTER FIELD TO [mutt options...]
    letter "$1" "$2" > body; subject=$(letter "$1" subject); to=$3; shift 3
    LC_ALL=C.UTF-8 mutt -n -F "$work/rc" -s "$subject" "$@" -- "$to" < body
    count=$((count + 1)); mv caught "$out/$(printf 'mutt-%03d.eml' $count)"
}
for n in 0 3 5 6 7 9 10; do mail $n text bruno@example.net; done
for n in 12 13 16 21; do mail $n text "zofie.cerna@brod.example" -c ichiro.tanaka@sakura.example; done
mail 14 text jiri.dvoracek@brod.example -e 'set send_charset="us-ascii:iso-8859-2:utf-8"'
mail 18 text hanako@sakura.example -e 'set send_charset="us-ascii:iso-2022-jp:utf-8"'
mail 22 text bruno@example.net -e 'set send_charset="us-ascii:iso-8859-1:utf-8" allow_8bit=no'
mail 10 text garden@lists.example.org -e 'set text_flowed=yes'
mail 11 html bruno@example.net -e 'set content_type=text/html'
mail 2 text bruno@example.net -a invoice.pdf
mail 13 text bruno@example.net -a "invoice of April 2026.pdf" "ceník příloha.csv"
mail 17 text hanako@sakura.example -a "注文書.zip" offer.docx
mail 15 text zofie.cerna@brod.example -a photo.png notes.txt empty.dat
mail 22 text juergen.gross@werk.example -e 'set rfc2047_parameters=yes' -a "ceník příloha.csv"
mail 1 text bruno@example.net -e 'my_hdr In-Reply-To: <3.printer@example.org>' -e 'my_hdr References: <1.printer@example.org> <2.printer@example.org> <3.printer@example.org>' -e 'my_hdr Organization: Example Office'
