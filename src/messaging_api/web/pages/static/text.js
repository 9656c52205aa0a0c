// How the text of a message is shown: as prose or code, with links that can be followed, or not at all.

import { $ } from "./page.js";

const ADDRESS = /(https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?)\]}])/;

function anchor(address) {
  const link = document.createElement("a");
  link.href = link.textContent = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

/** Make the web addresses in the text of the message links, and say whose they are. */
export function linkAddresses() {
  const parts = $("text").textContent.split(ADDRESS);
  $("text").replaceChildren(...parts.map((part, place) => (place % 2 ? anchor(part) : part)));
  $("linked").hidden = parts.length === 1;
}

function toggles(button, change) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    change(on);
  });
}

toggles($("as-code"), (on) => $("text").classList.toggle("code", on));
toggles($("wrap"), (on) => $("text").classList.toggle("unwrapped", !on));
toggles($("conceal"), (on) => { $("text").hidden = on; });
