/** One number that a bench stands for, as its last lines of output say it. */
export type Figure = {
  bench: string
  figure: string
  value: number
  unit: string
  better: 'higher' | 'lower'
  /** What it is compared with; null: with its floor only. */
  baseline: { name: string; value: number; unit: string } | null
  /** `value` over the baseline's. Null without a baseline. */
  ratio: number | null
  /** What must hold. A figure with a baseline is judged by its ratio, unless `judged` says otherwise. */
  floor: number | null
  goal: number | null
  judged: 'value' | 'ratio'
}

export type Measured = { figure: string; value: number; unit: string; better: Figure['better']; baseline?: { name: string; value: number }; floor?: number; goal?: number; judged?: Figure['judged'] }

export function figureOf(bench: string, measured: Measured): Figure {
  const { figure, unit, better, floor = null, goal = null } = measured
  const value = rounded(measured.value)
  const baseline = measured.baseline ? { name: measured.baseline.name, value: rounded(measured.baseline.value), unit } : null
  const ratio = measured.baseline ? rounded(measured.value / measured.baseline.value) : null
  return { bench, figure, value, unit, better, baseline, ratio, floor, goal, judged: measured.judged ?? (baseline ? 'ratio' : 'value') }
}

export type Verdict = 'goal' | 'floor' | 'below' | 'open'

/** `open`: nothing was asked of it. */
export function verdictOf(figure: Figure): Verdict {
  const value = figure.judged === 'ratio' ? figure.ratio : figure.value
  if (value === null || (figure.floor === null && figure.goal === null)) return 'open'
  const reaches = (limit: number | null) => limit !== null && (figure.better === 'higher' ? value >= limit : value <= limit)
  if (reaches(figure.goal)) return 'goal'
  if (reaches(figure.floor)) return 'floor'
  return 'below'
}

/** Four significant digits: the fifth is noise. */
function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value
}

/** The line for machines. */
export function lineOf(figure: Figure): string {
  const { baseline, ...rest } = { ...figure, judged: undefined }
  return JSON.stringify({ ...rest, baseline: baseline && `${baseline.name}: ${baseline.value} ${baseline.unit}` }, ['bench', 'figure', 'value', 'unit', 'better', 'baseline', 'ratio', 'floor', 'goal'])
}
