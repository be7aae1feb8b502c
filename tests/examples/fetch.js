// Fetches a file from a chatfile server and verifies it: node fetch.js HOST PORT NAME [OUTPUT]
// It ends with 0 once the file is whole, verified, and under its name; otherwise as chatfile-client does: 2 usage, 3 no
// greeting, 4 the server is full, 5 it refused, 6 the transfer broke, 7 the digest does not match, 8 no local file.
// After TIMEOUT (60) seconds of silence it gives up.
"use strict";
const [{ createHash }, fs, net, path] = ["crypto", "fs", "net", "path"].map((name) => require(`node:${name}`));
const CODES = new Map([["full", 4], ["changed", 6], ["timeout", 6], ["shutdown", 6], ["internal", 6]]);
const check = (isRight, code, why) => { if (!isRight) throw Object.assign(new Error(why), { code }); };

class Replies { // what comes from the server, as bytes and as lines
  constructor(socket) { Object.assign(this, { chunks: socket.iterator(), rest: Buffer.alloc(0), ifLost: 3 }); }
  async bytes(most) { // one at least
    if (!this.rest.length) {
      const { value } = await this.chunks.next().catch((error) => check(false, this.ifLost, error.message));
      check(value, this.ifLost, "the server closed the connection");
      this.rest = value;
    }
    const taken = this.rest.subarray(0, most);
    this.rest = this.rest.subarray(taken.length);
    return taken;
  }
  async line(pattern) { // the next one, as what the pattern finds in it; lines have at most 8192 bytes
    const bytes = [];
    for (let [byte] = await this.bytes(1); byte !== 10; [byte] = await this.bytes(1))
      check(bytes.push(byte) <= 8192, 6, "a line without an end");
    const line = Buffer.from(bytes).toString(), refusal = line.match(/^ERROR ([^ ]+)/), found = line.match(pattern);
    check(!refusal, CODES.get(refusal?.[1]) ?? 5, `the server says: ${line}`);
    check(found, 6, `this is not what was asked for: ${line}`);
    return found;
  }
}

async function fetchFile(host, port, name, output = name, ...more) {
  check(name && !/[/\n]/.test(name) && !more.length, 2, "usage: node fetch.js HOST PORT NAME [OUTPUT], no paths");
  check(!fs.existsSync(output), 8, `${output} exists already and is left as it is`);
  const folder = fs.mkdtempSync(path.join(path.dirname(output), ".fetch.")), part = path.join(folder, "file");
  process.once("exit", () => fs.rmSync(folder, { recursive: true })).once("SIGINT", () => process.exit(130));
  const socket = net.connect({ host, port }), timeout = Number(process.env.TIMEOUT ?? 60) * 1000;
  socket.setTimeout(timeout, () => socket.destroy(new Error("the server is silent")));
  const replies = new Replies(socket); // the server speaks first
  const [, me] = await replies.line(/^WELCOME ([^ ]+) chatfile\/1$/);
  replies.ifLost = 6;
  socket.write(`${me}\nget ${name}\nexit\n`); // its name for us, the requests right behind: replies keep their order
  check((await replies.line(/ ACK$/)).input === `${me} ACK`, 6, "not the acknowledgement of its name for us");
  const [, size, named] = await replies.line(/^FILE +(0|[1-9][0-9]{0,14}) +[^ ]+ (.*)$/s);
  check(named === name, 6, `another file than asked for: ${named}`);
  const digest = createHash("sha256"), file = fs.openSync(part, "wx");
  for (let left = Number(size), piece; left > 0; left -= piece.length) {
    digest.update((piece = await replies.bytes(left)));
    fs.writeFileSync(file, piece);
  } // behind exactly so many bytes comes END <sha256>, or ERROR changed in its place
  check((await replies.line(/^END (.*)$/))[1] === digest.digest("hex"), 7, "the digest does not match; not kept");
  fs.linkSync(part, output); // never replaces a file
}

fetchFile(...process.argv.slice(2)).then(() => process.exit(0), (error) => {
  console.error(`fetch.js: ${error.message}`.replace(/[^ -~]/g, "?")); // what a server says may be more than text
  process.exit(Number.isInteger(error.code) ? error.code : 8); // the system's own codes are words
});
