/** Stands in the bundle for modules that must not, or need not, be in it. */

/** For what parses raw HTML. */
export default function leftOut(): never {
  throw new Error('This part was left out of the page on purpose.')
}

/** For what resolves conflicts between Tailwind's classes, of which this page has none. */
export function twMerge(...classes: string[]): string {
  return classes.join(' ')
}
