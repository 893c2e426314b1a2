// The folder that a gateway writes its mail to instead of sending it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const FOLDER = process.env.TRIBUTARY_MAIL ?? "var/mail";

/** The text of a mail, which travels as quoted-printable (RFC 2045, 6.7) of UTF-8. */
function textOf(mail) {
  const [, text] = mail.split(/^Content-Type: text\/plain.*\n(?:.+\n)*\n/m);
  const unfolded = text.replace(/=\n/g, "").replace(/=([0-9A-F]{2})/g, (_, code) => String.fromCharCode(parseInt(code, 16)));
  return Buffer.from(unfolded, "latin1").toString();
}

/** The link to an account page in the newest mail to an address that has one; waits for it. */
export async function linkFor(address, page) {
  const pattern = new RegExp(`https?://\\S+/account/${page}#token=[\\w-]+`);
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(100)) {
    // The names are ULIDs: in the order of time.
    const names = existsSync(FOLDER) ? readdirSync(FOLDER) : []; // made with the first mail
    for (const name of names.filter((each) => each.endsWith(".eml")).sort().reverse()) {
      const mail = readFileSync(join(FOLDER, name), "utf8").replaceAll("\r\n", "\n");
      const link = mail.includes(`\nTo: ${address}\n`) && textOf(mail).match(pattern);
      if (link) return link[0];
    }
  }
  throw new Error(`no mail to ${address} has a link to ${page}`);
}
