import { fixturesOf } from '../../testing/fixtures.ts'
import { toWhatsApp } from '../markdown.ts'
import { channelSuite } from '../../testing/suite.ts'
import { whatsapp } from './index.ts'
import { SendRequest } from './wire.ts'

const NO_WEBHOOK = 'has shut doors: no handshake, no signature'

channelSuite(whatsapp, {
  fixtures: fixturesOf('whatsapp'),
  to: { kind: 'phone', value: '+15005550123' },
  number: {
    numberId: '019aa000-0000-7000-8000-000000000001',
    address: '209900000000001',
    credentials: { access_token: 'EAAtest', app_secret: '0123456789abcdef0123456789abcdef', verify_token: 'a-verify-token' },
    settings: { graph_version: 'v23.0' },
  },
  accepts: SendRequest,
  asShown: toWhatsApp,
  skip: [{ reason: 'WhatsApp has a webhook', tests: [NO_WEBHOOK] }],
})
