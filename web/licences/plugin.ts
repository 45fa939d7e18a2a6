/** Has the build write which packages are in the page, and under what terms: most of them ask to be named. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'vite'

const FILE = 'THIRD-PARTY.txt'
const TEXTS = /^(licen[cs]e|copying|notice)([.-].*)?$/i
/** What these bundlers add of their own has no path, but a name. */
const BUNDLERS: ReadonlySet<string> = new Set(['vite', 'rolldown'])
/** From here on a bundler's licence speaks of what it is made of itself, none of which goes into a page. */
const OF_ITSELF = /^# Licenses of bundled dependencies$[^]*/m

interface Package {
  readonly name: string
  readonly version: string
  readonly licence: string
  readonly text: string
}

/** Write THIRD-PARTY.txt beside the page. The build fails where a package does not say its licence. */
export function licences(): Plugin {
  let root = ''
  return {
    name: 'licences',
    apply: 'build',
    configResolved: (config) => {
      root = config.root
    },
    generateBundle(_, bundle) {
      const folders = new Set<string>()
      for (const output of Object.values(bundle)) {
        const sources =
          output.type === 'asset'
            ? output.originalFileNames
            : // A style sheet leaves no script behind, and goes into the page all the same.
              Object.entries(output.modules).flatMap(([id, { renderedLength }]) =>
                renderedLength > 0 || /\.css(\?|$)/.test(id) ? [id] : [],
              )
        for (const source of sources) {
          const folder = folderOf(source, root)
          if (folder !== undefined) folders.add(folder)
        }
      }
      this.emitFile({ type: 'asset', fileName: FILE, source: listed([...folders].map(packageIn), root) })
    },
  }
}

/** The folder of the package that a module belongs to; undefined for the page's own. */
function folderOf(source: string, root: string): string | undefined {
  const virtual = /^\0([a-z]+)\//.exec(source)?.[1]
  if (virtual !== undefined) return BUNDLERS.has(virtual) ? join(root, 'node_modules', virtual) : undefined
  const path = join(source.startsWith('/') ? '' : root, source.replace(/^\0/, '').replace(/\?.*$/, ''))
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]
}

function packageIn(folder: string): Package {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const { name, version, license } = manifest as Readonly<Record<string, unknown>>
  if (typeof license !== 'string') throw new Error(`${folder} does not say its licence: find it out before it is bundled.`)
  const files = readdirSync(folder).filter((file) => TEXTS.test(file)).sort()
  const whole = files.map((file) => textOf(join(folder, file))).join('\n\n')
  const text = BUNDLERS.has(String(name)) ? whole.replace(OF_ITSELF, '').trim() : whole
  return { name: String(name), version: String(version), licence: license, text }
}

function textOf(path: string): string {
  return readFileSync(path, 'utf8').replaceAll('\r\n', '\n').replace(/^\s*\n|\s+$/g, '')
}

/** All packages by name, those together whose terms are the same word for word; then the texts that these refer to. */
function listed(packages: readonly Package[], root: string): string {
  const key = ({ name, version }: Package): string => `${name} ${version}`
  const groups = new Map<string, Package[]>()
  for (const each of [...packages].sort((a, b) => (key(a) < key(b) ? -1 : 1))) {
    const terms = `${each.licence}\n${each.text}`
    groups.set(terms, [...(groups.get(terms) ?? []), each])
  }
  const standard = new Map<string, string>()
  for (const licence of [...new Set(packages.map(({ licence }) => licence))].sort()) {
    const path = join(root, 'licences', `${licence}.txt`)
    if (existsSync(path)) standard.set(licence, textOf(path))
  }
  const sections = [...groups.values()].map((group) => {
    const [{ licence, text }] = group as [Package, ...Package[]]
    if (text === '' && !standard.has(licence)) {
      throw new Error(`${group.map(key).join(', ')}: no text of its licence; put that of ${licence} into web/licences/.`)
    }
    const names = group.map((each) => `${key(each)} (${each.licence})`).join('\n')
    return `${names}\n\n${text || `Its terms are those of ${licence}, which stand at the end.`}\n`
  })
  const head = 'The page contains parts of these packages, under the terms that follow their names.\n'
  const ends = [...standard].map(([licence, text]) => `${licence}\n\n${text}\n`)
  return [head, ...sections, ...ends].join(`\n${'-'.repeat(78)}\n\n`)
}
