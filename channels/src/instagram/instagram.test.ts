import { fixturesOf } from '../../testing/fixtures.ts'
import { toPlain } from '../markdown.ts'
import { channelSuite } from '../../testing/suite.ts'
import { instagram } from './index.ts'
import { SendRequest } from './wire.ts'

const NO_WEBHOOK = 'has shut doors: no handshake, no signature'

channelSuite(instagram, {
  fixtures: fixturesOf('instagram'),
  to: { kind: 'igsid', value: '900000000000001' },
  number: {
    numberId: '019aa000-0000-7000-8000-000000000001',
    address: '17840000000000001',
    credentials: { access_token: 'EAAtest', app_secret: '0123456789abcdef0123456789abcdef', verify_token: 'a-verify-token' },
    settings: { graph_version: 'v23.0' },
  },
  accepts: SendRequest,
  asShown: toPlain,
  skip: [{ reason: 'Instagram has a webhook', tests: [NO_WEBHOOK] }],
})
