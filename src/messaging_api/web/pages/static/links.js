// Finds the link in pasted text (docs/encryption.md). client/link_search.py is the same; tests/vectors/links.json has cases.

const HOST = "(?:[0-9A-Za-z._-]{1,253}|\\[[0-9A-Fa-f:.]{2,45}\\])(?::[0-9]{1,5})?";
const BASE = `https?://${HOST}(?:/[!$-.0-;=@-Z_a-z~]+)*`;
const LINK_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const LINK = new RegExp(
  `(${BASE})/(msg|receipt)/(${LINK_ID})(?!/*[0-9a-z])/*([?&][!$-;=?-~]*)?(?:#([\\w-]*)((?:\\.|%2e)p(?![0-9a-z]))?)?`, "gi");
const WITHOUT_SCHEME = new RegExp(`^[^0-9a-z\\[]*(${HOST})/(?!/)`, "i");
const CUT_ID = /\/(?:msg|receipt)\/([0-9a-f-]{0,35})(?![!-~]*[0-9a-z])/i;
const ESCAPE = /%([0-7][0-9a-f])/gi;
const INVISIBLE = new RegExp(
  "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
  + "|%e2%80%8[b-f]|%e2%81%a0|%ef%bb%bf|%c2%ad", "gi");
const BREAK = "=?[ \\t]*\\r?\\n[> \\t]*";
const BROKEN = [1, 2, 3].map((lines) => new RegExp(
  `(${BASE}/(?:msg|receipt)/[!-~]*?)((?:${BREAK}(?!https?:)[!-~]+(?=[ \\t]*(?:\\r?\\n|$))){1,${lines}})`, "gi"));
const MAX_LINK_TEXT = 16_384;

/** There is no usable link. `reason` is "missing", "cut-short", "altered", "several" or "wrong-kind". */
export class BadLink extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** Return { address, fragment } of the only link of that kind ("msg" or "receipt") in a text. Throws BadLink. */
export function findLink(text, kind = "msg") {
  const links = text.length > MAX_LINK_TEXT ? [] : allLinks(text);
  const found = links.filter((link) => link.kind === kind);
  if (found.length > 1) throw new BadLink("several");
  if (!found.length) throw new BadLink(links.length ? "wrong-kind" : whyNoLink(text));
  const [{ address, fragment, damage }] = found;
  if (damage && kind === "msg") throw new BadLink(damage);
  return { address, fragment: kind === "msg" ? fragment : "" };
}

/** Return the different links in a text. Of several copies of one link, the one with the most of its key counts. */
function allLinks(text) {
  const best = new Map();
  layersOf(text).forEach((decoded, layer) => {
    for (const [variant, joined] of variantsOf(decoded)) {
      for (const link of linksIn(variant)) {
        const certain = !joined && (layer === 0 || link.certain);
        const same = layersOf(link.address).at(-1);
        const before = best.get(same);
        if (!before) best.set(same, link);
        else if (rank(link) > rank(before) && (certain || !link.damage)) best.set(same, { ...link, address: before.address });
        else if (rank(link) === 2 && rank(before) === 2 && secretOf(link) !== secretOf(before)) best.set(same + secretOf(link), link);
      }
    }
  });
  return [...best.values()];
}

const rank = ({ fragment, damage }) => damage ? 1 : fragment ? 2 : 0;
const secretOf = ({ fragment }) => fragment.slice(0, 43);

/** Return the text, and what percent-decoding of ASCII makes of it, repeatedly. */
function layersOf(text) {
  const layers = [text];
  while (layers.length < 5 && layers.at(-1).search(ESCAPE) >= 0) {
    layers.push(layers.at(-1).replace(ESCAPE, (_, code) => String.fromCharCode(parseInt(code, 16))));
  }
  return layers;
}

/** Return the text; without invisible characters; and with lines joined, which may join too much. */
function variantsOf(text) {
  const visible = text.replace(INVISIBLE, "");
  const joined = BROKEN.map((broken) =>
    visible.replace(broken, (_, first, rest) => first + rest.replace(new RegExp(BREAK, "g"), "")));
  return [[text, false], [visible, false], ...joined.filter((one) => one !== visible).map((one) => [one, true])];
}

function linksIn(text) {
  const bare = text.split(/\/(?:msg|receipt)\//)[0].includes("://") ? null : WITHOUT_SCHEME.exec(text);
  const scheme = bare && schemeOf(bare[1]);
  const whole = scheme ? `${scheme}://${text.slice(text.indexOf(bare[1]))}` : text;
  return [...whole.matchAll(LINK)].map((found) => {
    const [all, base, kind, id, query, run, password] = found;
    const key = readKey(run, whole.slice(found.index + all.length));
    const { fragment, damage } = key.damage && query?.startsWith("&") ? { fragment: "", damage: "" } : key;
    const address = `${base}/${kind.toLowerCase()}/${id.toLowerCase()}`;
    return { kind: kind.toLowerCase(), address, fragment: fragment && password ? `${fragment}.p` : fragment, damage, certain: !query };
  });
}

function schemeOf(authority) {
  const host = authority.startsWith("[") ? authority : authority.split(":")[0];
  if (/^(.*\.)?localhost$|^127\.|^\[::1\]/i.test(host)) return "http";
  return /[.:]/.test(authority) ? "https" : null;
}

/** Return the secret at the beginning of a fragment, and what is wrong with it. `rest` follows `run`. */
function readKey(run, rest) {
  if (!run) return { fragment: "", damage: run === "" && /^[^\s?&:]\S{20}/.test(rest) ? "altered" : "" };
  if (/^[\w-]{42}[AEIMQUYcgkosw048][_-]*$/.test(run)) return { fragment: run.slice(0, 43), damage: "" };
  const cut = run.length < 43 && !/^[^\s?&:<>"'()[\]|]*[0-9A-Za-z]/.test(rest);
  return { fragment: "", damage: cut ? "cut-short" : "altered" };
}

function whyNoLink(text) {
  for (const layer of layersOf(text.slice(0, MAX_LINK_TEXT))) {
    const visible = layer.replace(INVISIBLE, "");
    if (CUT_ID.test(visible)) return "cut-short";
    if (/\/(?:msg|receipt)\//i.test(visible)) return "altered";
  }
  return "missing";
}
