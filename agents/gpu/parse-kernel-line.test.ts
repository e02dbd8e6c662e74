import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { Draw } from '../../test/fuzz/draw.ts'
import { readKmsgRecord, readLogLine } from './kernel-text.ts'
import { type KernelNews, readKernelMessage, type Unfinished } from './parse-kernel-line.ts'

const capture = (name: string): string[] =>
  readFileSync(new URL(`../../test/captures/kernel/${name}`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
const NVRM_LINES = capture('nvrm-lines.txt')
const XID_119 = capture('xid-119.log')

const ACTION: readonly string[] = ['no verdict', 'restart', 'reset', 'reboot', 'workflow', 'none']

function shown(news: KernelNews | undefined): string | undefined {
  if (news?.kind !== 'gpu') return news?.kind
  return `${news.pciBusId} ${news.xid ?? '-'} ${ACTION[news.action]}${news.lifted ? ' lifted' : ''}: ${news.words}`
}

/** What each line brings, by its number from 1; lines that bring nothing are left out. */
function read(lines: readonly string[]): Record<number, string> {
  let unfinished: Unfinished
  const told: Record<number, string> = {}
  for (const [at, line] of lines.entries()) {
    const one = readKernelMessage(unfinished, readLogLine(line).text)
    unfinished = one.unfinished
    const news = shown(one.news)
    if (news !== undefined) told[at + 1] = news
  }
  return told
}

/** Read off the capture by eye: lines 1, 2 and 9 hold no Xid, 10 to 14 are one message, 17 and 18 name no GPU. */
test('every line of the captured Xids says what it says', () => {
  const netir = (link: string): string => `NETIR_LINK_EVT  Fatal   XC0 i0 Link ${link}`
  const cells = (first: string): string => ` (${first} 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)`
  const off = 'GPU has fallen off the bus'
  expect(read(NVRM_LINES)).toEqual({
    3: `00000000:05:00.0 79 reboot: ${off}`,
    4: `00000000:01:00.0 79 reboot: ${off}`,
    5: '00000000:03:00.0 14 none: Channel 00000001',
    6: `00000000:05:00.0 79 reboot: ${off}`,
    7: '00000000:03:00.0 14 none: Channel 00000001',
    8: `00000000:05:00.0 79 reboot: ${off}`,
    14: `00000000:18:00.0 - reboot: ${off}`,
    15: `00000000:29:00.0 - reboot: ${off}`,
    16: `00000000:18:00.0 - reboot: ${off}`,
    19: `00000009:01:00.0 149 workflow: ${netir('01')}${cells('0x021425c6')}`,
    20: '00000009:01:00.0 154 reset: the driver asks for "Drain and Reset"',
    21: `00000008:01:00.0 149 workflow: ${netir('01')}${cells('0x021425c6')}`,
    22: '00000019:01:00.0 154 reset: the driver asks for "GPU Reset Required"',
    23: `00000009:01:00.0 149 workflow: ${netir('00')}${cells('0x021405c6')}`,
    24: `00000009:01:00.0 149 workflow: ${netir('15')}${cells('0x0215e5c6')}`,
    25: `00000008:01:00.0 149 workflow: ${netir('14')}${cells('0x0215c5c6')}`,
    26: '00000018:01:00.0 154 reset: the driver asks for "GPU Reset Required"',
    27: '00000008:01:00.0 154 reset: the driver asks for "GPU Reset Required"',
    28: '00000000:05:00.0 99999 no verdict: unknown error',
  })
})

test('of a real log around Xid 119 the five Xids count and the driver history between them does not', () => {
  const expected = "00000000:9B:00.0 119 reset: the GPU's system processor does not answer"
  expect(read(XID_119)).toEqual(Object.fromEntries([3, 38, 40, 42, 43].map((line) => [line, expected])))
})

test.each<[string, string[], string | undefined]>([
  [
    'a slice of a GPU',
    ['NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, name=tritonserver, Contained: SM (0x1)'],
    '94 restart: Contained: SM (0x1)',
  ],
  ['with its function', ['NVRM: Xid (PCI:0000:01:00.0): 31, pid=9, name=a b, Ch 10'], '31 restart: Ch 10'],
  ['without words', ['NVRM: Xid (PCI:0000:01:00): 61'], '61 no verdict: without words'],
  [
    'a driver that is content again',
    ['NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)'],
    '154 none lifted: the driver asks for nothing any more',
  ],
  [
    'a recovery that is not in the list',
    ['NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x9 (Dance)'],
    '154 no verdict: the driver asks for "Dance"',
  ],
  ['a recovery without its words', ['NVRM: Xid (PCI:0000:01:00): 154, whatever'], '154 no verdict: whatever'],
  [
    'one long line',
    [
      'NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:2330) installed in this system has fallen off the bus and is not responding to commands.',
    ],
    '- reboot: GPU has fallen off the bus',
  ],
  [
    'others speak in between',
    [
      'NVRM: The NVIDIA GPU 0000:01:00.0',
      'eth0: link up',
      'NVRM: (PCI ID: 10de:2330)',
      'NVRM: fallen off the bus and is not responding to commands.',
    ],
    '- reboot: GPU has fallen off the bus',
  ],
  [
    'an end that comes too late',
    ['NVRM: The NVIDIA GPU 0000:01:00.0', 'NVRM: a', 'NVRM: b', 'NVRM: c', 'NVRM: d', 'NVRM: fallen off the bus'],
    undefined,
  ],
  ['an end without a beginning', ['NVRM: fallen off the bus and is not responding to commands.'], undefined],
  ['a GPU that is only not supported', ['NVRM: The NVIDIA GPU 0000:01:00.0', 'NVRM: (PCI ID: 10de:0045) is not supported'], undefined],
  ['a number too large', ['NVRM: Xid (PCI:0000:01:00): 123456, a'], undefined],
  [
    'a process that speaks as the driver',
    ['python3[1]: NVRM: Xid (PCI:0000:01:00): 79, a', 'audit: exe="NVRM: Xid (PCI:0000:01:00): 79, a"'],
    undefined,
  ],
])('%s', (_, lines, expected) => {
  const told = Object.values(read(lines))
  expect(told).toEqual(expected === undefined ? [] : [`00000000:01:00.0 ${expected}`])
})

test('a long or unprintable text stays one short line', () => {
  const [told = ''] = Object.values(read([`NVRM: Xid (PCI:0000:01:00): 13, a\u0007\u001b[2J${'b'.repeat(5_000)}`]))
  expect(told).toMatch(/^00000000:01:00\.0 13 restart: a \[2Jb+$/)
  expect(told.length).toBeLessThan(160)
})

test('a boot is one, whoever tells of it', () => {
  const words = 'Linux version 6.8.0-49-generic (buildd@lcy02) #49-Ubuntu SMP'
  expect(Object.values(read([words, `[    0.000000] ${words}`, `Nov 21 14:02:11 gpu-a kernel: [    0.000000] ${words}`]))).toEqual([
    'boot',
    'boot',
    'boot',
  ])
  expect(read(['systemd: booting Linux version 6'])).toEqual({})
})

test.each([
  ['[171167.620236] NVRM: a', 171_167_620.236],
  ['[    1.5] gpu-a kernel: NVRM: a', 1_500],
  ['Nov 21 14:02:11 gpu-a kernel: [  171.25] NVRM: a', 171_250],
  ['2026-11-21T14:02:11.123456+00:00 gpu-a kernel: NVRM: a', undefined],
  ['<4>[    2.000000] NVRM: a', 2_000],
  ['[Sun Feb 23 16:24:18 2025] NVRM: a', undefined],
  ['              NVRM: a', undefined],
])('%j is a message and when it was written', (line, at) => {
  expect(readLogLine(line)).toEqual({ text: 'NVRM: a', at })
})

test.each<[string, [string, number][]]>([
  ['4,1234,171167620236,-;NVRM: a', [['NVRM: a', 171_167_620.236]]],
  ['4,1234,1000,c,caller=T12;NVRM: a;b\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0', [['NVRM: a;b', 1]]],
  [
    '3,1,2000,-;NVRM: The NVIDIA GPU 0000:18:00.0\\x0aNVRM: fallen',
    [
      ['NVRM: The NVIDIA GPU 0000:18:00.0', 2],
      ['NVRM: fallen', 2],
    ],
  ],
  ['no record', []],
  ['', []],
])('the record %j of /dev/kmsg is read', (record, expected) => {
  expect(readKmsgRecord(record).map(({ text, at }) => [text, at])).toEqual(expected)
})

test('no change of a byte throws, names a GPU in other letters than nvidia-smi, or makes a verdict that the catalogue lacks', () => {
  const draw = new Draw(7)
  const lines = [...NVRM_LINES, ...XID_119.slice(0, 8)]
  let unfinished: Unfinished
  let news = 0
  for (let round = 0; round < 30_000; round++) {
    const bytes = Buffer.from(lines[draw.below(lines.length)] ?? '')
    for (let left = draw.between(1, 4); left > 0; left--) bytes[draw.below(bytes.length)] = draw.below(256)
    const line = bytes.toString('latin1')
    for (const { text } of [readLogLine(line), ...readKmsgRecord(line)]) {
      const one = readKernelMessage(unfinished, text)
      unfinished = one.unfinished
      if (one.news?.kind !== 'gpu') continue
      news++
      expect(one.news.pciBusId).toMatch(/^[0-9A-F]{8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-9A-F]$/)
      expect(one.news.words).toMatch(/^[\x20-\x7e]{1,120}$/)
      expect(Object.values(XidAction)).toContain(one.news.action)
    }
  }
  expect(news).toBeGreaterThan(3_000)
})
