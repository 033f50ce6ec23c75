import type { FastifyInstance } from 'fastify'
import { ControlError } from '../control/input.ts'
import type { CaughtMail, MailBox } from './box.ts'

type ById = { Params: { id: string } }

const wire = ({ atMs, attachments, ...mail }: CaughtMail) => ({
  ...mail,
  at: new Date(atMs).toISOString(),
  attachments: attachments.map(({ filename, mimeType, sizeBytes }) => ({ filename, mime_type: mimeType, size_bytes: sizeBytes })),
})

const escape = (text: string): string => text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]!)

/** Caught mails as JSON and as pages. */
export function mailRoutes(app: FastifyInstance, box: MailBox): void {
  const find = (id: string): CaughtMail => {
    const mail = box.get(id)
    if (!mail) throw new ControlError(404, `There is no mail ${id}`)
    return mail
  }
  app.get<{ Querystring: { to?: string } }>('/sandbox/mail', (request) => ({ data: box.list(request.query.to).map(wire) }))
  app.get<ById>('/sandbox/mail/:id', (request) => wire(find(request.params.id)))
  app.get<ById>('/sandbox/mail/:id/html', (request, reply) => {
    const mail = find(request.params.id)
    // A mail is a stranger's HTML: no scripts, no forms, no address of its own.
    void reply.header('content-security-policy', "sandbox allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    return reply.type('text/html').send(mail.html || `<pre style="white-space:pre-wrap;font:14px/1.5 system-ui">${escape(mail.text)}</pre>`)
  })
  app.delete('/sandbox/mail', (_request, reply) => {
    box.reset()
    return reply.code(204).send()
  })
}
