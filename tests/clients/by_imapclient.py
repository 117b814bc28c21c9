"""IMAPClient fetches everything in sets of 50 into a folder, one file for each mail: PORT FOLDER [CA]."""
import os, ssl, sys

# Where tests/run puts it.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/python"))
from imapclient import IMAPClient

port, folder, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca) if ca else None
with IMAPClient("127.0.0.1", port, ssl=bool(ca), ssl_context=context) as client:
    client.login("user", "secret")
    client.select_folder("INBOX", readonly=True)
    uids = client.search()
    # As a mail program lists a mailbox; then all of it, which must agree with itself.
    listed = client.fetch(uids, ["FLAGS", "INTERNALDATE", "ENVELOPE", "RFC822.SIZE", "BODYSTRUCTURE"])
    assert len(listed) == len(uids)
    for start in range(0, len(uids), 50):
        for uid, items in client.fetch(uids[start:start + 50], ["RFC822.SIZE", "ENVELOPE", "BODY.PEEK[]"]).items():
            mail = items[b"BODY[]"]
            assert len(mail) == items[b"RFC822.SIZE"], uid
            assert b"Subject: " + items[b"ENVELOPE"].subject + b"\r\n" in mail, uid
            with open(os.path.join(folder, str(uid)), "wb") as file:
                file.write(mail)
