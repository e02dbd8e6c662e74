/**
 * Reads one cell of nvidia-smi's CSV. Whatever is not plainly a value is unknown, and unknown is absent: a bracketed cell such as [N/A] never
 * becomes 0, nor does a number outside what the quantity can be.
 */

const MIB = 1024n * 1024n
const UINT32_MAX = 4_294_967_295
/** The XML prints without brackets what the CSV prints with them. */
const NOT_A_VALUE = new Set([
  '',
  '-',
  'N/A',
  'ERR!',
  'Unknown',
  'Not Supported',
  'Unknown Error',
  'Insufficient Permissions',
  'GPU requires reset',
  'GPU is lost',
  'Requested functionality has been deprecated',
])

/** Bracketed answers, such as [Not Supported] or [Unknown Error], say why there is no value. */
const known = (cell: string): boolean => !NOT_A_VALUE.has(cell) && !cell.startsWith('[')

/** What a cell says that stands for the whole GPU. Looked for in the row at once: most rows have dozens of cells and none that says so. */
const FATAL: readonly { readonly words: string; readonly cell: RegExp; readonly reason: string }[] = [
  { words: 'gpu is lost', cell: /(?:^|,)\[?gpu is lost\]?(?:,|$)/, reason: 'the GPU is lost' },
  { words: 'gpu requires reset', cell: /(?:^|,)\[?gpu requires reset\]?(?:,|$)/, reason: 'the GPU requires a reset' },
]

export function fatalReason(cells: readonly string[]): string | undefined {
  const row = cells.join().toLowerCase()
  return FATAL.find(({ words, cell }) => row.includes(words) && cell.test(row))?.reason
}

export function numberCell(cell: string, least: number, most: number): number | undefined {
  if (!/^-?\d{1,10}(\.\d{1,6})?$/.test(cell)) return undefined
  const value = Number(cell)
  return value >= least && value <= most ? value : undefined
}

/** 0..100 becomes 0..1. */
export function percentCell(cell: string): number | undefined {
  const percent = numberCell(cell, 0, 100)
  return percent === undefined ? undefined : percent / 100
}

export function countCell(cell: string): number | undefined {
  const value = numberCell(cell, 0, UINT32_MAX)
  return value !== undefined && Number.isInteger(value) ? value : undefined
}

export const bigCountCell = (cell: string): bigint | undefined => (/^\d{1,18}$/.test(cell) ? BigInt(cell) : undefined)

/** Bytes, from MiB; a column asked for without units has none, XML always has them. */
export function memoryCell(cell: string): bigint | undefined {
  const mebibytes = /^(\d{1,10})(?: MiB)?$/.exec(cell)?.[1]
  return mebibytes === undefined ? undefined : BigInt(mebibytes) * MIB
}

export const maskCell = (cell: string): bigint | undefined => (/^0x[0-9a-f]{1,16}$/i.test(cell) ? BigInt(cell) : undefined)

/** A card that cannot do it says [N/A]: unknown here, as it is nothing that a decision may rest on. */
export const switchCell = (cell: string): boolean | undefined => (cell === 'Enabled' ? true : cell === 'Disabled' ? false : undefined)

export const yesNoCell = (cell: string): boolean | undefined => (cell === 'Yes' ? true : cell === 'No' ? false : undefined)

/** P0 is the fastest, P15 the slowest. */
export const performanceCell = (cell: string): string | undefined => (/^P(1[0-5]|\d)$/.test(cell) ? cell : undefined)

export const textCell = (cell: string, lengthMax = 128): string | undefined => (known(cell) && cell.length <= lengthMax ? cell : undefined)

/** In words as the driver says them: None, Reset, Drain and Reset, and whatever later drivers add, since any but None takes a GPU out of service. */
export const actionCell = (cell: string): string | undefined => (/^[A-Za-z][\w ()/.-]{1,63}$/.test(cell) ? textCell(cell) : undefined)

export const uuidCell = (cell: string): string | undefined => (/^GPU-[0-9a-f-]{8,64}$/i.test(cell) ? cell : undefined)

/** `0000:0C:00.0` and `00000000:0c:00.0` are one place; the long form in capitals is its name here. */
export function busIdCell(cell: string): string | undefined {
  const parts = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$/i.exec(cell)
  return parts === null ? undefined : `${(parts[1] ?? '').padStart(8, '0')}:${parts[2]}`.toUpperCase()
}
