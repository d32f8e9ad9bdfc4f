
"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const prompt = button.parentElement.querySelector(".prompt");
  try {
    await navigator.clipboard.writeText(prompt.textContent);
  } catch {  // no clipboard for pages of this kind: select the text and copy that
    getSelection().selectAllChildren(prompt);
    document.execCommand("copy");
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
});
