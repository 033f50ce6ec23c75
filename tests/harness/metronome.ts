import { connect } from 'node:net'

// A process of its own that says a byte every 20 ms, as punctually as this machine lets it: what others are compared with. It works a little for each, as a
// voice with some calls does: the kernel lets who never works go first.

const [FRAME_MS, WORK_MS] = [20, 2]

const socket = connect(Number(process.argv[2]), '127.0.0.1')
socket.setNoDelay(true)
socket.on('close', () => process.exit(0))
socket.on('error', () => process.exit(0))

const originMs = performance.now()
let beat = 0
function tick(): void {
  // As a player does: deadlines that nothing adds up to, and what is late is made up for.
  for (; originMs + beat * FRAME_MS <= performance.now(); beat++) socket.write('.')
  for (const endMs = performance.now() + WORK_MS; performance.now() < endMs; );
  setTimeout(tick, Math.max(0, originMs + beat * FRAME_MS - performance.now()))
}
socket.once('connect', tick)
