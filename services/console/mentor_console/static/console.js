// What every page shares: times in the reader's zone. Nothing here makes markup of text.
"use strict";
for (const time of document.querySelectorAll("time[datetime]")) {
  time.textContent = new Date(time.dateTime).toLocaleString();
}
