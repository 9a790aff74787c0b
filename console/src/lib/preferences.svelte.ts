/** What this viewer prefers, remembered in this browser alone. */

export type Theme = 'auto' | 'light' | 'dark';

const THEMES: Theme[] = ['auto', 'light', 'dark'];

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is refused: the choice holds until the page is left.
  }
}

class Preferences {
  theme: Theme = $state((THEMES.find((theme) => theme === read('mur.theme')) ?? 'auto') as Theme);
  worstFirst = $state(read('mur.worst-first') === 'yes');
  /** Grows when colours change, so that what is drawn on a canvas is drawn again. */
  colours = $state(0);

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.colours += 1;
    });
  }

  nextTheme(): void {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length] as Theme;
    write('mur.theme', this.theme);
    if (this.theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
    this.colours += 1;
  }

  setWorstFirst(on: boolean): void {
    this.worstFirst = on;
    write('mur.worst-first', on ? 'yes' : 'no');
  }
}

export const preferences = new Preferences();
