"""Thunderbird, without a screen, synchronises INBOX for use offline: PORT HOME MAILS [CA].

The account, its password and the authority are put into a new profile; that it has every mail is asked of Thunderbird itself,
by Marionette, and so is what it keeps of each: one file in HOME/synchronised.
"""
import base64, json, os, socket, subprocess, sys, time

IN_THUNDERBIRD = """
const [ca, mails, folder, done] = arguments;
async function synchronise() {
  const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
  if (ca) {
    const store = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
    store.addCertFromBase64(ca, "CTu,Cu,Cu");
  }
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init("imap://127.0.0.1", null, "imap://127.0.0.1", "user", "secret", "", "");
  await Services.logins.addLoginAsync(login);
  const server = MailServices.accounts.allServers.find(server => server.type == "imap");
  server.performExpand(null);
  let inbox;
  while (!(inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox))) {
    await new Promise(again => Services.tm.dispatchToMainThread(again));
  }
  inbox.QueryInterface(Ci.nsIMsgImapMailFolder);
  const ended = begin => new Promise(ended => begin({ OnStartRunningUrl() {}, OnStopRunningUrl: (_, status) => ended(status) }));
  const rounds = [];
  for (let round = 0; round < 20; round++) {
    const updated = await ended(listener => inbox.updateFolderWithListener(null, listener));
    const downloaded = await ended(listener => inbox.downloadAllForOffline(listener, null));
    // All of them at once: the enumeration does not outlive a pause.
    const kept = [...inbox.messages].filter(mail => mail.flags & Ci.nsMsgMessageFlags.Offline);
    rounds.push([updated, downloaded, kept.length]);
    if (kept.length == mails) {
      const contents = kept.map(mail => octets(inbox.getMsgInputStream(mail, {}), mail.offlineMessageSize));
      for (let number = 0; number < mails; number++) {
        await IOUtils.write(`${folder}/${kept[number].messageKey}`, contents[number]);
      }
      return { rounds, complete: true };
    }
  }
  return { rounds };
}
function octets(stream, size) {
  const binary = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
  binary.setInputStream(stream);
  let all = [];
  for (let left; (left = Math.min(binary.available(), size - all.length)); ) {
    all = all.concat(binary.readByteArray(left));
  }
  return new Uint8Array(all);
}
synchronise().then(done, error => done({ error: String(error) }));
"""


def preferences(port, tls, control):
    return {
        "marionette.port": control,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "mail.shell.checkDefaultClient": False,
        "mail.provider.suppress_dialog_on_startup": True,
        "mailnews.start_page.enabled": False,
        "mail.accountmanager.accounts": "account1,account2",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.accountmanager.localfoldersserver": "server2",
        "mail.account.account1.server": "server1",
        "mail.account.account1.identities": "id1",
        "mail.account.account2.server": "server2",
        "mail.identity.id1.useremail": "user@example.net",
        "mail.identity.id1.valid": True,
        "mail.server.server1.type": "imap",
        "mail.server.server1.name": "lab",
        "mail.server.server1.hostname": "127.0.0.1",
        "mail.server.server1.port": port,
        "mail.server.server1.userName": "user",
        "mail.server.server1.socketType": 3 if tls else 0,
        "mail.server.server1.authMethod": 3,
        "mail.server.server1.offline_download": True,
        "mail.server.server1.check_new_mail": False,
        "mail.server.server1.login_at_startup": False,
        "mail.server.server1.autosync_offline_stores": False,
        "mail.server.server2.type": "none",
        "mail.server.server2.name": "Local Folders",
        "mail.server.server2.hostname": "Local Folders",
        "mail.server.server2.userName": "nobody",
    }


class Marionette:
    """Its protocol: a length, a colon, and a JSON array."""

    def __init__(self, port, process):
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                if process.poll() is not None:
                    sys.exit("Thunderbird ended at its start")
                time.sleep(0.1)
        self.stream = self.socket.makefile("rb")
        self.receive()
        self.call("WebDriver:NewSession", {})

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            length += self.stream.read(1) or sys.exit("Thunderbird is gone")
        return json.loads(self.stream.read(int(length[:-1])))

    def call(self, name, parameters):
        message = json.dumps([0, 1, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self.receive()
        return sys.exit("%s: %s" % (name, error)) if error else result


def main():
    port, home, mails, ca = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    authority = None
    if ca:
        with open(ca) as file:
            authority = "".join(line.strip() for line in file if not line.startswith("-"))
        base64.b64decode(authority)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        control = free.getsockname()[1]
    profile, folder = os.path.join(home, "profile"), os.path.join(home, "synchronised")
    os.mkdir(profile)
    os.mkdir(folder)
    with open(os.path.join(profile, "user.js"), "w") as file:
        for name, value in preferences(port, bool(ca), control).items():
            file.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
    environment = dict(os.environ, HOME=home, TMPDIR=home, MOZ_HEADLESS="1")
    command = ["/usr/lib/thunderbird/thunderbird", "--headless", "--no-remote", "--marionette", "--remote-allow-system-access"]
    with open(os.path.join(home, "thunderbird.log"), "w") as log:
        process = subprocess.Popen(command + ["-profile", profile], env=environment, stdout=log, stderr=log)
        try:
            client = Marionette(control, process)
            client.call("WebDriver:SetTimeouts", {"script": 100000})
            client.call("Marionette:SetContext", {"value": "chrome"})
            answer = client.call("WebDriver:ExecuteAsyncScript", {"script": IN_THUNDERBIRD, "args": [authority, mails, folder]})["value"]
        finally:
            process.kill()
            process.wait()
    if "complete" not in answer:
        sys.exit("not synchronised: %s" % answer)


main()
