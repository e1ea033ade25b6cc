// While trajectories are gathered for the first time the list is made anew now and then, unless somebody is writing in it.
"use strict";
setInterval(() => {
  if (!document.hidden && !["INPUT", "SELECT"].includes(document.activeElement?.tagName)) location.reload();
}, 3000);
