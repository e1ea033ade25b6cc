// What every page shares: times in the reader's zone. Nothing here makes markup of text.
"use strict";
for (const time of document.querySelectorAll("time[datetime]")) {
  time.textContent = new Date(time.dateTime).toLocaleString();
}
// What scrolls sideways is reached with the keyboard.
function reach() {
  for (const part of document.querySelectorAll(".scroll")) {
    const wide = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
    if (wide && !part.hasAttribute("tabindex")) part.tabIndex = 0;
  }
}
addEventListener("resize", reach);
reach();
// As the server's pages do: a name in place of what cannot be seen, or turns the direction of writing.
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u{E0000}-\u{E007F}]/gu;
function visible(text) {
  return String(text).replace(UNSEEN, (found) => {
    const code = found.codePointAt(0);
    return code < 32 ? String.fromCodePoint(0x2400 + code) : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}
