// a picture that is pasted anywhere goes to the pictures of the tab that is shown, also to an empty
// field, where gradio has no button for it
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
  const field = [...document.querySelectorAll(".pez-pictures")].find((one) => one.checkVisibility());
  const input = field?.querySelector("input[type=file]");
  if (!files.length || !input) return;
  event.preventDefault();
  const given = new DataTransfer();
  for (const one of files) given.items.add(one);
  input.files = given.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
// gradio 6 names this button by a key that it does not translate
new MutationObserver(() => {
  for (const one of document.querySelectorAll("[aria-label='common.webcam']")) {
    one.ariaLabel = one.title = "Take a picture";
  }
}).observe(document, { childList: true, subtree: true });
