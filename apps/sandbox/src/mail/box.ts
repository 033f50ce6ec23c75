import type { AddressInfo } from 'node:net'
import PostalMime from 'postal-mime'
import type { Email } from 'postal-mime'
import type { SMTPServerDataStream } from 'smtp-server'
import { SMTPServer } from 'smtp-server'
import type { FaultTable } from '../faults/table.ts'
import type { Journal } from '../journal/journal.ts'

export type CaughtMail = {
  id: string
  atMs: number
  /** Envelope addresses: what the server was told, not what the header says. */
  from: string
  to: string[]
  subject: string
  text: string
  html: string
  headers: Record<string, string>
  attachments: { filename: string; mimeType: string; sizeBytes: number }[]
}

const KEPT = 1_000
const MAX_BYTES = 25 * 1024 * 1024

/** An SMTP server that accepts everything and delivers nothing: mails are kept to be looked at. */
export class MailBox {
  readonly #mails = new Map<string, CaughtMail>()
  readonly #server: SMTPServer
  readonly #journal: Journal
  readonly #faults: FaultTable
  #nextId = 1

  constructor(journal: Journal, faults: FaultTable) {
    this.#journal = journal
    this.#faults = faults
    this.#server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      allowInsecureAuth: true,
      size: MAX_BYTES,
      disableReverseLookup: true,
      onAuth: (_auth, _session, done) => done(null, { user: 'sandbox' }),
      onData: (stream, session, done) => {
        const to = session.envelope.rcptTo.map(({ address }) => address)
        const from = session.envelope.mailFrom ? session.envelope.mailFrom.address : ''
        void this.#answer(stream, from, to, done)
      },
    })
    // Clients that vanish are no concern of a sandbox.
    this.#server.on('error', () => undefined)
  }

  /** Resolves with the port that was taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => resolve((this.#server.server.address() as AddressInfo).port))
    })
  }

  /** Newest first. */
  list(to?: string): CaughtMail[] {
    return [...this.#mails.values()].reverse().filter((mail) => to === undefined || mail.to.includes(to))
  }

  get(id: string): CaughtMail | undefined {
    return this.#mails.get(id)
  }

  reset(): void {
    this.#mails.clear()
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  async #answer(stream: SMTPServerDataStream, from: string, to: string[], done: (error?: Error | null) => void): Promise<void> {
    const error = await this.#receive(stream, from, to).catch((caught: unknown) => caught as Error)
    done(error ?? null)
  }

  async #receive(stream: SMTPServerDataStream, from: string, to: string[]): Promise<void> {
    const chunks: Buffer[] = []
    for await (const piece of stream) chunks.push(piece as Buffer)
    if (stream.sizeExceeded) throw Object.assign(new Error('Message exceeds the fixed maximum size'), { responseCode: 552 })
    const fault = this.#faults.pick('mail.received', { to: to[0] })
    if (fault?.action.delayMs) await new Promise((resolve) => setTimeout(resolve, fault.action.delayMs))
    if (fault?.action.status !== undefined || fault?.action.errorCode !== undefined) {
      const responseCode = Number(fault.action.errorCode ?? fault.action.status)
      this.#journal.add({ target: 'mail.received', outcome: 'fault', status: responseCode, to: to.join(','), fault: fault.id })
      throw Object.assign(new Error('Scripted by the sandbox'), { responseCode })
    }
    this.#keep(await PostalMime.parse(Buffer.concat(chunks)), from, to)
  }

  #keep(parsed: Email, from: string, to: string[]): void {
    const mail: CaughtMail = {
      id: String(this.#nextId++), atMs: Date.now(), from, to,
      subject: parsed.subject ?? '', text: parsed.text ?? '', html: parsed.html ?? '',
      headers: Object.fromEntries(parsed.headers.map(({ key, value }) => [key, value])),
      attachments: parsed.attachments.map(({ filename, mimeType, content }) => ({ filename: filename ?? '', mimeType, sizeBytes: typeof content === 'string' ? content.length : content.byteLength })),
    }
    this.#mails.set(mail.id, mail)
    if (this.#mails.size > KEPT) this.#mails.delete(this.#mails.keys().next().value!)
    this.#journal.add({ target: 'mail.received', outcome: 'accepted', status: 250, to: to.join(','), id: mail.id, text: mail.subject.slice(0, 500) })
  }
}
