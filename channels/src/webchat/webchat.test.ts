import { fixturesOf } from '../../testing/fixtures.ts'
import { channelSuite } from '../../testing/suite.ts'
import { webchat } from './index.ts'
import { SendRequest } from './wire.ts'

channelSuite(webchat, {
  fixtures: fixturesOf('webchat'),
  to: { kind: 'visitor', value: 'v_8f2Kd03' },
  number: { numberId: '019aa000-0000-7000-8000-000000000001', address: '019aa000-0000-7000-8000-000000000001', credentials: {}, settings: {} },
  accepts: SendRequest,
  skip: [
    {
      reason: 'web chat has no webhook: visitors come with a session token',
      tests: ['accepts the right signature', 'accepts the previous secret during a rotation, and only then', 'answers the handshake with the challenge and refuses every other'],
    },
    { reason: 'one event a body', tests: ['takes 1000 events in a body and refuses one more'] },
    { reason: 'no credentials', tests: ['names the credential that is missing or malformed'] },
  ],
})
