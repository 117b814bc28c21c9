// postal-mime. See README.md.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const loaded = createRequire(import.meta.url)("postal-mime");
const PostalMime = loaded.default ?? loaded;

for await (const name of createInterface({ input: process.stdin })) {
    let leaves = [];
    try {
        const mail = await PostalMime.parse(readFileSync(name), { rfc822Attachments: false });
        leaves = [mail.text, mail.html, ...mail.attachments.map((attachment) => attachment.content)].filter(Boolean);
    } catch (error) {
        process.stderr.write(`${name}: ${error}\n`);
    }
    const list = leaves.map((leaf) => Buffer.from(leaf).toString("base64"));
    console.log(JSON.stringify({ mail: name, leaves: list }));
}
