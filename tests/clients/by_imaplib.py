"""imaplib fetches what it has not got yet into a folder, one file for each mail: PORT FOLDER [CA]."""
import imaplib, os, ssl, sys

port, folder, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if ca:
    client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=ssl.create_default_context(cafile=ca))
else:
    client = imaplib.IMAP4("127.0.0.1", port)
client.login("user", "secret")
client.select("INBOX", readonly=True)
for uid in client.uid("SEARCH", None, "ALL")[1][0].split():
    name = os.path.join(folder, uid.decode())
    if os.path.exists(name):
        continue
    answer, data = client.uid("FETCH", uid, "(RFC822)")
    if answer == "OK":
        with open(name, "wb") as file:
            file.write(data[0][1])
client.logout()
