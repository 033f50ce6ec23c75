import { connect } from 'node:net'
import pg from 'pg'

/** One statement over a connection of its own. For tests that ask a server a question, not for the product. */
export async function postgresRows(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}

/** One command over a connection of its own; the answer as the wire has it, a bulk string without its length. */
export function redisCommand(url: string, ...words: string[]): Promise<string> {
  const { port, password } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1' })
    const commands = [...(password ? [['AUTH', password]] : []), words, ['QUIT']]
    let answer = ''
    socket.once('error', reject)
    socket.once('connect', () => socket.write(commands.map(encode).join('')))
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.once('end', () => {
      socket.end()
      const lines = answer.split('\r\n').slice(password ? 1 : 0, -2) // Without the answers to AUTH and QUIT.
      resolve(lines.filter((line) => !/^[$*]\d+$/.test(line)).join('\n'))
    })
  })
}

function encode(words: string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}
