import type { Table } from '../bench.ts'

/** Columns as wide as they must be; numbers to the right. */
export function drawTable({ title, head, rows }: Table): string {
  const text = rows.map((row) => row.map(cell))
  const widths = head.map((name, column) => Math.max(name.length, ...text.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[], numeric: (column: number) => boolean) =>
    cells.map((value, column) => (numeric(column) ? value.padStart(widths[column]!) : value.padEnd(widths[column]!))).join('  ').trimEnd()
  const body = rows.map((row, index) => line(text[index]!, (column) => typeof row[column] === 'number'))
  return [`\n${title}`, line(head, (column) => rows.every((row) => typeof row[column] === 'number')), widths.map((width) => '-'.repeat(width)).join('  '), ...body].join('\n')
}

export function cell(value: string | number): string {
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return '-'
  if (Number.isInteger(value)) return value.toLocaleString('en')
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
