#!/bin/sh
# Mails as small command line tools write them: s-nail (mailx), swaks, mpack; a script catches what they would send.
# usage: tools.sh MATERIAL OUTDIR
set -eu
material=$1 out=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
HOME=$work LC_ALL=C.UTF-8 MAILRC=/dev/null; export HOME LC_ALL MAILRC
cp "$material"/* "$work"; cd "$work"; cp table.csv "ceník příloha.csv"
letter() { python3 -c 'import json,sys; sys.stdout.write(json.load(open("letters.json", encoding="utf-8"))[int(sys.argv[1])][sys.argv[2]])' "$1" "$2"; }

# s-nail
printf '#!/bin/sh\ncat > "%s/caught"\n' "$work" > sendmail; chmod +x sendmail
count=0
snail() { # snail LETTER FIELD TO [options...]
    letter "$1" "$2" > body; subject=$(letter "$1" subject); to=$3; shift 3
    s-nail -:/ -S v15-compat=yes -S mta="file://$work/sendmail" -S sendwait -S hostname=mail.example.org \
        -S from="Bruno Keel <bruno@example.net>" -S ttycharset=utf-8 -S sendcharsets=utf-8 "$@" -s "$subject" -. "$to" < body
    count=$((count + 1)); mv caught "$out/$(printf 's-nail-%03d.eml' $count)"
}
for n in 0 5 6 7 9; do snail $n text anna.hale@example.org; done
for n in 12 16; do snail $n text zofie.cerna@brod.example -S mime-encoding=8bit; done
snail 13 text jiri.dvoracek@brod.example -S mime-encoding=quoted-printable
snail 18 text hanako@sakura.example -S mime-encoding=base64
snail 22 text anna.hale@example.org -S sendcharsets=iso-8859-1
snail 2 text anna.hale@example.org -a invoice.pdf -a "ceník příloha.csv"
snail 17 text hanako@sakura.example -a archive.zip -a picture.png

# swaks prints the transaction's mail with --dump-mail and sends nothing
count=0
swak() {
    n=$1; shift
    count=$((count + 1))
    swaks --from anna.hale@example.org --to bruno@example.net --helo mail.example.org --ehlo mail.example.org --server 127.0.0.1 \
        --dump-mail --header "X-Mailer: swaks" --header "Message-Id: <20260301120000.$count@mail.example.org>" --header "Subject: $(letter "$n" subject)" \
        --header "Date: Sun, 01 Mar 2026 12:00:$((count + 10)) +0100" "$@" > "$out/$(printf 'swaks-%03d.eml' $count)"
}
letter 0 text > body
swak 5
swak 0 --body @body
swak 3 --add-header "X-Priority: 1 (Highest)" --add-header "Importance: high"
letter 11 html > page.html
swak 11 --attach-type text/plain --attach-body "Please look at the page." --attach-type text/html --attach-name page.html --attach @page.html
swak 2 --attach-type application/pdf --attach-name invoice.pdf --attach @invoice.pdf
swak 4 --body "Pictures." --attach-type image/png --attach-name photo.png --attach @picture.png --attach-type application/zip --attach-name archive.zip --attach @archive.zip
swak 9 --body "$(letter 9 text)"
swak 0 --add-header "Reply-To: noreply@example.org" --add-header "Auto-Submitted: auto-generated" --body "Disk is 91% full."
swak 11 --h-From: '"Support, Example Ltd." <support@shop.example>' --body "Bitte nicht antworten."

# mpack wants one file each, and cuts large ones into message/partial when told so
count=0
pack_plain() { count=$((count + 1)); mpack -s "$1" -o "$out/$(printf 'mpack-%03d.eml' $count)" "$2"; }
pack_typed() { count=$((count + 1)); mpack -s "$1" -c "$2" -o "$out/$(printf 'mpack-%03d.eml' $count)" "$3"; }
letter 3 text > description
pack_plain "the picture" picture.png
pack_plain "table for May" table.csv
pack_typed "archive" application/zip archive.zip
pack_typed "invoice" application/pdf invoice.pdf
pack_plain "raw bytes" bytes.bin
count=$((count + 1)); mpack -s "with a description" -d description -c application/octet-stream -o "$out/$(printf 'mpack-%03d.eml' $count)" offer.docx
mpack -s "in parts" -m 9000 -c image/png -o "$work/piece" photo.png
for piece in "$work"/piece*; do count=$((count + 1)); cp "$piece" "$out/$(printf 'mpack-%03d.eml' $count)"; done
