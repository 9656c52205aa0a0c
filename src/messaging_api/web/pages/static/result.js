// The link that a sender gets: facts about it, its QR code, and the ways to hand it on.

import { $, copies, say, when } from "./page.js";

let isKept = true;
let password = "";

/** Whether the link was copied or shared. */
export const isLinkKept = () => isKept;

const keep = () => { isKept = true; };

/** Show the link, and the receipt of the message that was `posted`; `sent` is what encryption returned. */
export async function showResult(posted, sent) {
  const link = posted.url + (sent.fragment && `#${sent.fragment}`);
  isKept = false;
  password = sent.password;
  $("link").value = link;
  $("receipt").href = $("receipt").textContent = posted.receipt;
  $("facts").replaceChildren(...facts(posted, sent));
  $("apart").hidden = !sent.fragment;
  $("copy-password").hidden = !password;
  $("lead").hidden = true;
  $("form").hidden = true;
  $("result").hidden = false;
  $("heading").textContent = say("write.ready");
  $("heading").focus();
  await draw(link);
}

/** Hide the link again. */
export function hideResult() {
  $("result").hidden = true;
  $("qr").setAttribute("hidden", "");
  $("copied").textContent = "";
  $("link").value = password = "";
  isKept = true;
  $("lead").hidden = $("form").hidden = false;
  $("heading").textContent = say("write.heading");
}

const expires = (posted) => say("write.factExpires", { when: when(posted.expires_at) });

function readable({ reads }) {
  const words = { null: "write.factUnlimited", 1: "write.factOnce" }[reads] ?? "write.factTimes";
  return say(words, { n: reads });
}

function facts(posted, sent) {
  const safety = sent.password ? "write.factPassword" : sent.fragment ? "write.factEncrypted" : "write.factPlain";
  const texts = [readable(posted), expires(posted), say(safety)];
  $("copy-text").dataset.facts = texts.slice(0, 2).join(" ");
  return texts.map((text, place) => {
    const item = document.createElement("li");
    item.textContent = text;
    item.classList.toggle("warning", place === 2 && !sent.fragment);
    return item;
  });
}

async function draw(link) {
  const { generate } = await import("./vendor/lean-qr.js");
  const code = generate(link);
  const quiet = 4; // white modules around the code, required by ISO/IEC 18004
  let path = "";
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) if (code.get(x, y)) path += `M${x + quiet} ${y + quiet}h1v1h-1z`;
  }
  $("qr").setAttribute("viewBox", `0 0 ${code.size + 2 * quiet} ${code.size + 2 * quiet}`);
  $("qr").lastElementChild.setAttribute("d", path);
  $("qr").removeAttribute("hidden");
}

/** Return the link with words for its reader. */
const instructions = () => say("write.instructions", { facts: $("copy-text").dataset.facts, link: $("link").value });

async function share() {
  try {
    await navigator.share({ text: instructions() });
    keep();
  } catch {
    // the sender closed the list of apps, or no app took the link
  }
}

/** Make the buttons of the result work. */
export function offerResult() {
  const source = $("link"), status = $("copied");
  copies($("copy-link"), () => source.value, source, status, keep);
  copies($("copy-text"), instructions, source, status, keep);
  copies($("copy-address"), () => source.value.split("#")[0], source, status);
  copies($("copy-key"), () => source.value.split("#")[1], source, status, keep);
  copies($("copy-password"), () => password, source, status);
  copies($("copy-receipt"), () => $("receipt").textContent, $("receipt"), status);
  $("share").hidden = !navigator.share;
  $("share").addEventListener("click", share);
  $("enlarge").addEventListener("click", () => {
    const large = $("result").classList.toggle("large");
    $("enlarge").setAttribute("aria-pressed", String(large));
  });
}
