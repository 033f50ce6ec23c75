import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { AppError, Id } from '@trunkline/core'
import { build } from 'esbuild'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'

const ENTRY = fileURLToPath(new URL('../../../dashboard/widget/src/main.ts', import.meta.url))

/** The script in the encodings that browsers ask for, made once. */
export type Bundle = { hash: string; plain: Buffer; gzip: Buffer; br: Buffer }

/** The widget, bundled and minified from its source: there is no build step to forget, and the script is always the one of this version. */
export async function buildWidget(): Promise<Bundle> {
  const { outputFiles } = await build({ entryPoints: [ENTRY], bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', charset: 'utf8', legalComments: 'none', logLevel: 'silent' })
  const plain = Buffer.from(outputFiles[0]!.contents)
  const [zipped, br] = await Promise.all([
    promisify(gzip)(plain, { level: constants.Z_BEST_COMPRESSION }),
    promisify(brotliCompress)(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }),
  ])
  return { hash: createHash('sha256').update(plain).digest('hex').slice(0, 16), plain, gzip: zipped, br }
}

/** Nobody waits for the second visitor's build, and a build that failed is tried again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

const DemoQuery = z.object({ number: Id, theme: z.enum(['light', 'dark', 'auto']).default('auto'), lang: z.string().regex(/^[a-z]{2}(-[A-Za-z]{2,8})?$/).default('en') })
/** As strict as a careful page would be: the widget has to live with it. */
const DEMO_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

/** `/widget.js`, its immutable twin under its hash, and a page that shows it. */
export function registerWidget(app: ApiApp, { log }: ApiDeps): void {
  const bundle = once(buildWidget)
  app.addHook('onListen', async () => void bundle().catch((error: unknown) => log.error({ error }, 'the widget could not be built')))
  const hidden = { config: { access: 'public' }, schema: { hide: true } } as const

  app.get('/widget.js', hidden, async (request, reply) => sendScript(request, reply, await bundle(), 'public, max-age=3600, stale-while-revalidate=86400'))

  app.get('/widget/:file', { ...hidden, schema: { hide: true, params: z.object({ file: z.string().max(64) }) } }, async (request, reply) => {
    const made = await bundle()
    if (request.params.file !== `${made.hash}.js`) throw new AppError('not_found', { message: 'There is no such version of the widget.' })
    return sendScript(request, reply, made, 'public, max-age=31536000, immutable')
  })

  app.get('/widget/demo.css', hidden, async (_request, reply) => reply.type('text/css; charset=utf-8').serializer(String).send(DEMO_STYLE))

  app.get('/widget/demo.svg', hidden, async (_request, reply) => reply.type('image/svg+xml').serializer(String).send(DEMO_ICON))

  app.get('/widget/demo', { ...hidden, schema: { hide: true, querystring: DemoQuery } }, async (request, reply) => {
    void reply.headers({ 'content-security-policy': DEMO_POLICY, 'content-type': 'text/html; charset=utf-8' })
    return reply.serializer(String).send(demoPage(request.query))
  })
}

function sendScript(request: FastifyRequest, reply: FastifyReply, bundle: Bundle, cacheControl: string): FastifyReply {
  const accepted = request.headers['accept-encoding'] ?? ''
  const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : 'plain'
  // Each encoding is a representation of its own, with a tag of its own (RFC 9110 §8.8.3).
  const etag = `"${bundle.hash}-${encoding}"`
  void reply.headers({ etag, 'cache-control': cacheControl, vary: 'accept-encoding', 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin', 'x-widget-hash': bundle.hash })
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  if (encoding !== 'plain') void reply.header('content-encoding', encoding)
  return reply.type('text/javascript; charset=utf-8').send(bundle[encoding])
}

const DEMO_STYLE = `:root{color-scheme:light dark;font:17px/1.6 system-ui,sans-serif}
body{max-width:42rem;margin:0 auto;padding:4rem 1.5rem;color:#1f2430;background:#fbfaf8}
h1{font-size:2.4rem;line-height:1.15;letter-spacing:-.02em;margin:0 0 1rem}
code{font-size:.9em;padding:.1em .35em;border-radius:.3em;background:#0000000d}
@media (prefers-color-scheme:dark){body{color:#e8e6e1;background:#15171c}code{background:#ffffff1a}}
`

const DEMO_ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#0b5c6b" stroke-width="2"><circle cx="6" cy="16" r="4"/><circle cx="18" cy="16" r="4"/><path d="m6 16 4-8h5l3 8M9 8H7m3 0 3 8h-7"/></svg>'

/** Every value has passed a schema that leaves nothing to escape. */
const demoPage = ({ number, theme, lang }: z.infer<typeof DemoQuery>): string => `<!doctype html>
<html lang="${lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Harbour Bikes</title>
<link rel="icon" href="/widget/demo.svg" type="image/svg+xml">
<link rel="stylesheet" href="/widget/demo.css">
<script src="/widget.js" data-number="${number}" data-theme="${theme}" async></script>
</head>
<body>
<main>
<h1>Bicycles for wind and weather</h1>
<p>We build, rent and repair bicycles by the harbour. This page is an ordinary page with one line in its head:</p>
<p><code>&lt;script src="/widget.js" data-number="${number}" async&gt;&lt;/script&gt;</code></p>
<p>The button in the corner opens the chat. Write a message, reload the page, come back tomorrow: the conversation is still there.</p>
<p><a href="#opening">Opening hours</a></p>
</main>
</body>
</html>
`
