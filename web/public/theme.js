// Before the first paint, so that no theme but the chosen one is ever seen.
try {
  const chosen = localStorage.getItem('holdfast-theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // Without storage the system's theme holds.
}
