/** Code into coloured pieces, by grammars that are plain regular expressions: no eval, no WebAssembly, no markup. */

import bash from 'highlight.js/lib/languages/bash'
import c from 'highlight.js/lib/languages/c'
import cpp from 'highlight.js/lib/languages/cpp'
import csharp from 'highlight.js/lib/languages/csharp'
import css from 'highlight.js/lib/languages/css'
import diff from 'highlight.js/lib/languages/diff'
import dockerfile from 'highlight.js/lib/languages/dockerfile'
import go from 'highlight.js/lib/languages/go'
import ini from 'highlight.js/lib/languages/ini'
import java from 'highlight.js/lib/languages/java'
import javascript from 'highlight.js/lib/languages/javascript'
import json from 'highlight.js/lib/languages/json'
import kotlin from 'highlight.js/lib/languages/kotlin'
import markdown from 'highlight.js/lib/languages/markdown'
import php from 'highlight.js/lib/languages/php'
import python from 'highlight.js/lib/languages/python'
import ruby from 'highlight.js/lib/languages/ruby'
import rust from 'highlight.js/lib/languages/rust'
import shell from 'highlight.js/lib/languages/shell'
import sql from 'highlight.js/lib/languages/sql'
import swift from 'highlight.js/lib/languages/swift'
import typescript from 'highlight.js/lib/languages/typescript'
import xml from 'highlight.js/lib/languages/xml'
import yaml from 'highlight.js/lib/languages/yaml'
import { createLowlight } from 'lowlight'

/** A piece of code and the class that colours it, or an empty one. */
export interface Piece {
  text: string
  kind: string
}

export type Highlighter = (code: string, language: string) => Piece[]

/** Characters beyond which colours would cost more than they help. */
const LONGEST = 60_000

const known = createLowlight({
  bash, c, cpp, csharp, css, diff, dockerfile, go, ini, java, javascript, json, kotlin, markdown, php, python, ruby,
  rust, shell, sql, swift, typescript, xml, yaml,
})
known.registerAlias({ typescript: ['tsx', 'mts'], javascript: ['mjs'], ini: ['toml'], bash: ['sh', 'zsh'] })

type Tree = ReturnType<typeof known.highlight>
type Node = Tree['children'][number]

/** @param code what to colour. @param language as the fence names it. */
export const highlight: Highlighter = (code, language) => {
  const name = language.toLowerCase()
  if (code.length > LONGEST || !known.registered(name)) return [{ text: code, kind: '' }]
  const pieces: Piece[] = []
  const walk = (nodes: Node[], kind: string) => {
    for (const node of nodes) {
      if (node.type === 'text') pieces.push({ text: node.value, kind })
      else if (node.type === 'element') {
        const own = node.properties.className
        walk(node.children as Node[], Array.isArray(own) ? own.join(' ') : kind)
      }
    }
  }
  walk(known.highlight(name, code).children, '')
  return pieces
}
