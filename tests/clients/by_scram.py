"""Logs in by SCRAM-SHA-256 (RFC 5802, 7677), by POP3 and by IMAP, and verifies that the server knows the password too.

Arguments: protocol, port, user, password. Prints the subject of the first mail, or what the server said to the login.
"""
import base64
import hashlib
import hmac
import imaplib
import os
import poplib
import sys

MECHANISM = "SCRAM-SHA-256"


class Exchange:
    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first = f"n={user},r={self.nonce}"
        self.signature = None

    def respond(self, challenge):
        if not challenge:
            return f"n,,{self.first}".encode()
        if self.signature is None:
            return self.prove(challenge.decode())
        assert challenge == b"v=" + base64.b64encode(self.signature), challenge
        return b""

    def prove(self, challenge):
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        assert fields["r"].startswith(self.nonce), challenge
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        final = f"c=biws,r={fields['r']}"
        said = f"{self.first},{challenge},{final}".encode()

        def keyed(key, text):
            return hmac.digest(key, text, "sha256")

        client = keyed(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(client, keyed(hashlib.sha256(client).digest(), said)))
        self.signature = keyed(keyed(salted, b"Server Key"), said)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()


def by_pop3(port, exchange):
    server = poplib.POP3("127.0.0.1", port)
    answer = server._shortcmd(f"AUTH {MECHANISM}")
    while not answer.startswith(b"+OK"):
        response = exchange.respond(base64.b64decode(answer[2:]))
        answer = server._shortcmd(base64.b64encode(response).decode())
    return server.retr(1)[1]


def by_imap(port, exchange):
    server = imaplib.IMAP4("127.0.0.1", port)
    server.authenticate(MECHANISM, exchange.respond)
    server.select()
    return server.fetch("1", "(BODY.PEEK[])")[1][0][1].splitlines()


protocol, port, user, password = sys.argv[1:]
try:
    lines = {"pop3": by_pop3, "imap": by_imap}[protocol](int(port), Exchange(user, password))
    print(next(line[9:].decode() for line in lines if line.startswith(b"Subject: ")))
except (poplib.error_proto, imaplib.IMAP4.error) as refusal:
    print(refusal)
