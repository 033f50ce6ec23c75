import pc from 'picocolors'

/** The report fits a terminal of 100 columns. */
export const WIDTH = 96
/** What one side of a conversation may take of it. */
export const SIDE = 58

export function heading(text: string): void {
  console.log(`\n${pc.bold(pc.cyan(`── ${text} ${'─'.repeat(WIDTH - text.length - 4)}`))}`)
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = ''
      }
      line = line === '' ? word : `${line} ${word}`
    }
    lines.push(line)
  }
  return lines
}
