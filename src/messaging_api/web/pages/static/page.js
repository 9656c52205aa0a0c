// Shared by the pages: the texts and limits, which are part of the HTML, and small helpers.

const data = JSON.parse(document.getElementById("page").textContent);
const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);
const spoken = navigator.languages.find((one) => one.startsWith(language)) ?? language; // en-GB dates differ from en-US
const moments = new Intl.DateTimeFormat(spoken, {
  weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
});

export const limits = data.limits;

export const $ = (id) => document.getElementById(id);

const chosen = new URLSearchParams(location.search).get("lang");
if (chosen) for (const link of document.querySelectorAll("a.home")) link.search = `?lang=${chosen}`;
for (const link of document.querySelectorAll("a[hreflang]")) {
  link.addEventListener("click", () => { link.hash = location.hash; }); // the key of a message
}

/** Return the text `key` (such as "reader.gone") with `values` inserted; `n` selects the plural form. */
export function say(key, values = {}) {
  const [group, name] = key.split(".");
  const words = data.words[group][name];
  const text = typeof words === "string" ? words : words[plural.select(values.n)] ?? words.other;
  return text.replace(/\{(\w+)\}/g, (_, value) =>
    typeof values[value] === "number" ? numbers.format(values[value]) : values[value]);
}

/** Format a number of bytes for people. */
export const size = (bytes) => bytes < 1024 ? say("write.bytes", { n: bytes }) : say("write.kilobytes", { n: Math.round(bytes / 1024) });

/** Format an RFC 3339 time for people. */
export const when = (moment) => moments.format(new Date(moment));

/**
 * Make `button` copy the text that `text` returns. The button and `status` show the result, and `done` is called. If the
 * browser does not let us copy, the content of `source` is selected.
 */
export function copies(button, text, source, status, done = () => {}) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      getSelection().selectAllChildren(source);
      source.select?.();
      status.classList.remove("unseen");
      status.textContent = say("copying.notCopied");
      return;
    }
    done();
    button.style.minWidth = `${button.getBoundingClientRect().width}px`;
    button.textContent = `✓ ${say("copying.copied")}`;
    status.classList.add("unseen"); // for screen readers
    status.textContent = say("copying.copied");
    setTimeout(() => {
      button.textContent = label;
      if (status.classList.contains("unseen")) status.textContent = "";
    }, 2000);
  });
  source.addEventListener("copy", done);
}

/** Let the browser save `text` as a file. */
export function saveFile(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Let the browser ask before the page is left while `condition` holds. */
export function asksBeforeLeaving(condition) {
  addEventListener("beforeunload", (event) => {
    if (condition()) event.preventDefault();
  });
}

/** Return a handler that runs `work` unless it is still running; `button` is marked as busy meanwhile. */
export function once(button, work) {
  let running = false;
  return async (event) => {
    event?.preventDefault();
    if (running) return;
    running = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      running = false;
      button.removeAttribute("aria-busy");
    }
  };
}

/** Let the browser paint before work that blocks it. */
export const painted = () => new Promise((resolve) => setTimeout(resolve, 20));
