import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file of the repository, its path relative to the root and with forward slashes. */
export interface SourceFile {
  path: string
  text: string
}

/** What a rule found, and what to do about it. */
export interface Violation {
  path: string
  message: string
}

/** A rule looks at files only, so that it can be shown a bad one. */
export type Rule = (files: readonly SourceFile[]) => Violation[]

const SKIPPED_FOLDERS = new Set(['node_modules', '.git', '.data', 'dist', 'coverage', '.turbo'])
const TEXT =
  /(\.(ts|tsx|js|mjs|cjs|json|md|ya?ml|sql|sh|html|css|lua|txt|toml|csv)|(^|\/)(Dockerfile[^/]*|LICENSE|\.npmrc|\.gitignore|\.dockerignore|\.env\.example|run))$/

export function readTree(root: string): SourceFile[] {
  const files: SourceFile[] = []
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder ? `${folder}/${entry.name}` : entry.name
      if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) walk(path)
      if (entry.isFile() && TEXT.test(path)) files.push({ path, text: readFileSync(join(root, path), 'utf8') })
    }
  }
  walk('')
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

export const isCode = (file: SourceFile): boolean => /\.(ts|tsx|mjs|js)$/.test(file.path)
export const isTypeScript = (file: SourceFile): boolean => /\.tsx?$/.test(file.path)

/**
 * Tests, benchmarks and the tools around the product: they may look into any room. Inside a room, what several tests
 * need lives in a file or folder named `testing`, the suite that all channels pass in `conformance`.
 */
export const isProof = (path: string): boolean =>
  /^(tests|bench|scripts)\//.test(path) || /\.test\.tsx?$/.test(path) || /\/(testing|conformance)(\/|\.ts$)/.test(path) || /^[^/]+$/.test(path)

export interface Import {
  specifier: string
  line: number
}

/** Static imports, re-exports and `import('...')` with a literal. A line that starts with `import` or `export` is one. */
export function importsOf(text: string): Import[] {
  const statement = /^[ \t]*(?:import|export)\b(?:[\w*{}\s,$]*?\bfrom)?\s*['"]([^'"\n]+)['"]/gm
  const dynamic = /\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/g
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, blank)
  return [...code.matchAll(statement), ...code.matchAll(dynamic)].map((match) => ({
    specifier: match[1] ?? '',
    line: code.slice(0, match.index).split('\n').length + (match[0].match(/\n/g)?.length ?? 0),
  }))
}

/** `@scope/name` of `@scope/name/deep/path`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function blank(part: string): string {
  return part.replaceAll(/[^\n]/g, ' ')
}

/** Code without comments and without what stands in quotes, line numbers kept. Rough, and good enough to look for words. */
export function codeOnly(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, blank)
    .replaceAll(/(^|[^:'"`\\])\/\/[^\n]*/g, (part, before: string) => before + blank(part.slice(before.length)))
    .replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, blank)
}

export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
