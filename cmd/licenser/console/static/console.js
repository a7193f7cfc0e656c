// The pages work without this: it adds the buttons that copy.
for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  const text = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.from).value);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = text; }, 2000);
  });
}
