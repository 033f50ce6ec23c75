import { posix } from 'node:path'
import { codeOnly, isCode, isProof, isTypeScript, lineOf, type Rule, type SourceFile, type Violation } from './tree.ts'

/** The rules themselves must name what they forbid. */
const isHouse = (path: string): boolean => path.startsWith('tests/house/')

function search(file: SourceFile, text: string, pattern: RegExp, message: string): Violation[] {
  return [...text.matchAll(pattern)].map((match) => ({ path: `${file.path}:${lineOf(text, match.index)}`, message: `${match[0].trim()}: ${message}` }))
}

export const environmentInOnePlace: Rule = (files) =>
  files
    .filter((file) => isTypeScript(file) && !isProof(file.path) && posix.basename(file.path) !== 'env.ts')
    .flatMap((file) =>
      search(file, codeOnly(file.text), /\bprocess\.env\b/g, "read it in the app's env.ts (zod, all faults listed together) and pass the value in"),
    )

export const noLeftovers: Rule = (files) =>
  files
    .filter((file) => (isCode(file) || /\.(md|sql|ya?ml)$/.test(file.path)) && !isHouse(file.path))
    .flatMap((file) => search(file, file.text, /\b(TODO|FIXME|XXX)\b/g, 'do it now, or file an issue and say in the README what is missing'))

export const noAny: Rule = (files) =>
  files
    .filter(isTypeScript)
    .flatMap((file) =>
      search(
        file,
        codeOnly(file.text),
        /(?<=[:<,|&(]\s*|\bas\s+|\bextends\s+|=>\s*)\bany\b(?=\s*[\][>,;)=|&{}\n]|$)/g,
        'say the type, or `unknown` and look (zod for what comes from outside)',
      ),
    )

const LIMIT = 500
const TEST_LIMIT = 800

export const shortFiles: Rule = (files) =>
  files
    .filter((file) => isCode(file) || file.path.endsWith('.sql'))
    .flatMap((file) => {
      const limit = file.path.endsWith('.test.ts') ? TEST_LIMIT : LIMIT
      const lines = file.text.trimEnd().split('\n').length
      return lines > limit ? [{ path: file.path, message: `${lines} lines, the limit is ${limit}; which two nouns live here? Give each its file` }] : []
    })

/** package-lock.json is large and has its own rule. */
export const noMachinePaths: Rule = (files) =>
  files
    .filter((file) => file.path !== 'package-lock.json' && !isHouse(file.path))
    .flatMap((file) =>
      search(
        file,
        file.text,
        /(?<![\w.~/-])(\/home\/|\/Users\/|\/root\/|\/work\/|[A-Z]:\\Users\\)[^\s'"`)]*/g,
        'a path of one machine; use a path relative to import.meta.url or a setting',
      ),
    )

export const wholeMoney: Rule = (files) =>
  files
    .filter(isTypeScript)
    .flatMap((file) => search(file, codeOnly(file.text), /\b\w*[mM]icros\??\s*:\s*number\b/g, 'money is a bigint of micro-units, never a number (DESIGN §6)'))

const DRAWERS = /^(utils?|helpers?|common|misc|shared)$/
const KEBAB = /^(\.?[a-z0-9]+(-[a-z0-9]+)*)(\.[a-z0-9]+)*$/

export const plainNames: Rule = (files) =>
  files.filter(isCode).flatMap(({ path }) => {
    const segments = path.split('/')
    const drawer = segments.find((segment) => segment.split(/[.-]/).some((word) => DRAWERS.test(word)))
    if (drawer) return [{ path, message: `"${drawer}" is a drawer, not a name; call it by the noun that lives in it` }]
    const odd = segments.find((segment) => !KEBAB.test(segment))
    if (odd) return [{ path, message: `"${odd}" is not kebab-case` }]
    return repeated(path, segments)
  })

function repeated(path: string, segments: string[]): Violation[] {
  const folder = segments.at(-2)
  const name = segments.at(-1)?.split('.')[0] ?? ''
  if (!folder || !name.startsWith(`${folder}-`)) return []
  return [{ path, message: `the folder already says "${folder}"; call the file ${name.slice(folder.length + 1)}` }]
}
