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
