/** Dark and light: the system's, until a person chooses. */

import { useEffect, useState } from 'react'

export type Theme = 'light' | 'dark'

const KEY = 'holdfast-theme'
const dark = () => matchMedia('(prefers-color-scheme: dark)')

function chosen(): Theme | null {
  const value = document.documentElement.dataset.theme
  return value === 'light' || value === 'dark' ? value : null
}

/** The theme that is shown, and how to show the other one. */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(() => chosen() ?? (dark().matches ? 'dark' : 'light'))
  useEffect(() => {
    const query = dark()
    const follow = () => {
      if (chosen() === null) setTheme(query.matches ? 'dark' : 'light')
    }
    query.addEventListener('change', follow)
    return () => query.removeEventListener('change', follow)
  }, [])
  const flip = () => {
    const other = theme === 'dark' ? 'light' : 'dark'
    document.documentElement.dataset.theme = other
    try {
      localStorage.setItem(KEY, other)
    } catch {
      // Without storage the choice holds for this page.
    }
    setTheme(other)
  }
  return [theme, flip]
}
