import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'

const FILES = [
  ['/', 'page.html', 'text/html; charset=utf-8'],
  ['/console.css', 'console.css', 'text/css; charset=utf-8'],
  ['/console.js', 'console.js', 'text/javascript; charset=utf-8'],
] as const

/** The page for people: plain files, no build, nothing from elsewhere. */
export function consoleRoutes(app: FastifyInstance): void {
  for (const [path, name, type] of FILES) {
    const content = readFileSync(new URL(name, import.meta.url))
    app.get(path, (_request, reply) => reply.header('content-security-policy', "default-src 'self'; frame-src 'self'; img-src 'self' data:").type(type).send(content))
  }
}
