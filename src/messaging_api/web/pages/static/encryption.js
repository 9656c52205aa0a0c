// End-to-end encryption, version 1 (docs/encryption.md): AES-256-GCM, with a key that is only in the link.

const PREFIX = "e2e1.";
const ITERATIONS = 600_000;
const MOST_ITERATIONS = 10_000_000;
const HEAD = 33; // flags 1, iterations 4, salt 16, nonce 12
const TAG = 16;
const utf8 = new TextEncoder();
const random = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

/** Whether the browser can encrypt on this page. No browser can on a page from another machine over plain HTTP. */
export const able = Boolean(crypto.subtle);

/** Return a unique name. */
export const token = () => encode(random(16));

/** Return a new password that is easy to dictate: 16 letters and digits, 80 bits. */
export function passphrase() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789"; // 32 that look different, so that a byte selects without bias
  const picked = Array.from(random(16), (byte) => letters[byte % 32]);
  return [0, 4, 8, 12].map((at) => picked.slice(at, at + 4).join("")).join("-");
}

/** An envelope could not be opened. `reason` is a name from docs/encryption.md, or "unable". */
export class Unopened extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** Encrypt `text`, also with `password` unless it is empty. Return the text to post and the fragment of the link. */
export async function seal(text, password) {
  const secret = random(32);
  const iterations = password ? ITERATIONS : 0;
  const envelope = await envelop(text, { secret, password, iterations, salt: random(16), nonce: random(12) });
  return { envelope, fragment: encode(secret) + (password ? ".p" : "") };
}

/** Return the envelope of `text`, with all random values and parameters given. */
export async function envelop(text, { secret, password, iterations, salt, nonce }) {
  const head = new Uint8Array(HEAD);
  head[0] = password ? 1 : 0;
  new DataView(head.buffer).setUint32(1, iterations);
  head.set(salt, 5);
  head.set(nonce, 21);
  const key = await derive(secret, password, head);
  const box = await crypto.subtle.encrypt(cipher(head), key, pad(utf8.encode(text)));
  return PREFIX + encode(new Uint8Array([...head, ...new Uint8Array(box)]));
}

/** Return the text in `envelope`. Without a key, return a message that is not an envelope unchanged. Throws Unopened. */
export async function open(envelope, key, password) {
  const bytes = parse(envelope);
  if (!bytes && !key) return envelope;
  if (!bytes) throw new Unopened("not-an-envelope");
  if (!able) throw new Unopened("unable");
  if (!key) throw new Unopened("key-missing");
  const head = bytes.subarray(0, HEAD);
  const locked = head[0] === 1;
  if (locked && !password) throw new Unopened("password-missing");
  if (key.locked && !locked) throw new Unopened("wrong-password");
  const aes = await derive(key.secret, locked ? password : "", head);
  try {
    const padded = new Uint8Array(await crypto.subtle.decrypt(cipher(head), aes, bytes.subarray(HEAD)));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(unpad(padded));
  } catch {
    throw new Unopened("wrong-password");
  }
}

/** Return the key in the fragment of a link: the secret, and whether it needs a password; or null. Throws Unopened. */
export function key(fragment) {
  if (!fragment) return null;
  const found = /^([\w-]{43})(\.p)?$/.exec(fragment);
  const secret = found && decode(found[1]);
  if (!secret) throw new Unopened("bad-link");
  return { secret, locked: Boolean(found[2]) };
}

/** Return the length, in bytes of UTF-8, of the longest text whose envelope has at most `most` bytes. */
export function longest(most) {
  const room = Math.floor(((most - PREFIX.length) * 3) / 4) - HEAD - TAG;
  const bucket = room >= 4096 ? room - (room % 4096) : 2 ** Math.floor(Math.log2(room));
  return bucket >= 256 ? bucket - 1 : 0;
}

async function derive(secret, password, head) {
  const salt = head.subarray(5, 21);
  const iterations = new DataView(head.buffer, head.byteOffset).getUint32(1);
  let material = secret;
  if (password) {
    const base = await crypto.subtle.importKey("raw", utf8.encode(password.normalize("NFC")), "PBKDF2", false, ["deriveBits"]);
    const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, base, 256);
    material = new Uint8Array([...secret, ...new Uint8Array(bits)]);
  }
  const base = await crypto.subtle.importKey("raw", material, "HKDF", false, ["deriveKey"]);
  const info = utf8.encode("messaging_api e2e 1");
  const aes = { name: "AES-GCM", length: 256 };
  return crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt, info }, base, aes, false, ["encrypt", "decrypt"]);
}

const cipher = (head) => ({
  name: "AES-GCM",
  iv: head.subarray(21, HEAD),
  additionalData: new Uint8Array([...utf8.encode(PREFIX), ...head.subarray(0, 21)]),
});

/** Return the bytes of an envelope, or null if it is none. Throws Unopened for a later version. */
function parse(envelope) {
  const version = /^e2e([0-9]+)\./.exec(envelope)?.[1];
  if (!version) return null;
  if (version !== "1") throw new Unopened("unknown-version");
  const bytes = decode(envelope.slice(PREFIX.length));
  if (!bytes || bytes.length < HEAD + TAG + 1) return null;
  if (bytes[0] > 1) throw new Unopened("unknown-version");
  const iterations = new DataView(bytes.buffer).getUint32(1);
  const allowed = bytes[0] === 0 ? iterations === 0 : iterations >= ITERATIONS && iterations <= MOST_ITERATIONS;
  return allowed ? bytes : null;
}

function pad(text) {
  const needed = text.length + 1;
  let bucket = 256;
  while (bucket < needed) bucket += Math.min(bucket, 4096);
  const padded = new Uint8Array(bucket);
  padded.set(text);
  padded[text.length] = 0x80;
  return padded;
}

function unpad(padded) {
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== 0x80) throw new Unopened("wrong-password");
  return padded.subarray(0, end);
}

function encode(bytes) {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Decode base64url without padding (RFC 4648, section 5). Return null for a text that is not in canonical form. */
function decode(text) {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return null;
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  return encode(bytes) === text ? bytes : null;
}
