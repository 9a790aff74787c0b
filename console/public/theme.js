// Runs before the first paint, so that a remembered theme does not flash; a file, for inline script is refused.
try {
  const theme = localStorage.getItem('mur.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's theme stands.
}
