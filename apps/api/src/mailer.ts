import type { Logger } from '@trunkline/core'
import { createTransport } from 'nodemailer'
import type { Mail, Mailer } from './deps.ts'

/** Past this many on their way, mails are dropped and logged: a dead mail server must not eat the memory. */
const ON_THE_WAY_MAX = 500

/** Sends over SMTP with deadlines. `smtpUrl` like `smtp://user:password@host:587`. */
export function createMailer({ smtpUrl, from, log }: { smtpUrl: string; from: string; log: Logger }): Mailer {
  const transport = createTransport(`${smtpUrl}${smtpUrl.includes('?') ? '&' : '?'}pool=true&maxConnections=2&connectionTimeout=5000&greetingTimeout=5000&socketTimeout=15000`)
  const onTheWay = new Set<Promise<void>>()
  const deliver = async ({ to, subject, text }: Mail) => {
    await transport.sendMail({ from, to, subject, text })
  }
  return {
    send(mail) {
      if (onTheWay.size >= ON_THE_WAY_MAX) return log.error({ subject: mail.subject }, 'a mail was dropped: too many are on their way')
      const delivery = deliver(mail)
        .catch((err: unknown) => log.error({ err, subject: mail.subject, piiTo: mail.to }, 'a mail could not be sent'))
        .finally(() => onTheWay.delete(delivery))
      onTheWay.add(delivery)
    },
    async close() {
      await Promise.all(onTheWay)
      transport.close()
    },
  }
}
