/** The benchmark's arithmetic, without running it: what the kernel said, how rounds become one number, what may be published. */
import { describe, expect, test } from 'vitest'
import { showNumber, table } from '../core/show/table.ts'
import { docsPage } from './bench/docs-page.ts'
import { retriesIn } from './bench/peers/millrace.ts'
import { familyOf, parseRssKib, parseStat, readUsage } from './bench/proc.ts'
import { ratioTable, scenarioTable } from './bench/report.ts'
import { SCENARIOS } from './bench/scenarios.ts'
import { readBenchSettings } from './bench/settings.ts'
import { median, type Row, ratiosOf, summarise } from './bench/statistics.ts'

const statLine = (pid: number, name: string, parent: number, cpu: readonly [number, number, number, number]): string =>
  `${pid} (${name}) S ${parent} 1 1 0 -1 4194304 100 0 0 0 ${cpu.join(' ')} 20 0 11 0 12345 1000 200`

describe('processes', () => {
  test('CPU is user and system, of the process and of children that were waited for', () => {
    expect(parseStat(statLine(42, 'node', 7, [100, 20, 3, 1]))).toEqual({ pid: 42, parent: 7, ticks: 124 })
  })

  test('a name with spaces and parentheses does not shift the fields', () => {
    expect(parseStat(statLine(42, 'nginx: worker (1) x', 7, [1, 2, 0, 0]))).toEqual({ pid: 42, parent: 7, ticks: 3 })
  })

  test.each(['', 'nothing', '42 (cut'])('%j is no process', (text) => {
    expect(parseStat(text)).toBeUndefined()
  })

  test('a resident set that is not told is unknown, never zero', () => {
    expect(parseRssKib('Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  2048 kB\nThreads:\t1\n')).toBe(2048)
    expect(parseRssKib('Name:\tkthreadd\n')).toBeUndefined()
  })

  test('the family is the process and all that descend from it, and nobody else', () => {
    const all = [
      [1, 0],
      [10, 1],
      [11, 10],
      [12, 11],
      [20, 1],
    ].map(([pid, parent]) => ({ pid: pid ?? 0, parent: parent ?? 0, ticks: 1 }))
    expect(familyOf(10, all).map((one) => one.pid)).toEqual([10, 11, 12])
    expect(familyOf(99, all)).toEqual([])
  })

  test.runIf(process.platform === 'linux')('this very process has used CPU and memory', () => {
    const { cpuSeconds, rssKib } = readUsage(process.pid)
    expect(cpuSeconds).toBeGreaterThan(0)
    expect(rssKib).toBeGreaterThan(10_000)
  })
})

const row = (round: number, peer: string, cpu: number | undefined, errors = 0): Row => ({
  round,
  scenario: 'real',
  peer,
  values: { errors, ...(cpu === undefined ? {} : { cpuPerRequestMicros: cpu }) },
})
const compareByCpu = () => 'cpuPerRequestMicros' as const

describe('statistics', () => {
  test.each<[readonly number[], number | undefined]>([
    [[], undefined],
    [[3], 3],
    [[9, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
  ])('the median of %j is %s', (values, expected) => {
    expect(median(values)).toBe(expected)
  })

  test('rounds become their median, but one error in any of them stays an error', () => {
    expect(summarise([row(1, 'envoy', 30), row(2, 'envoy', 90, 1), row(3, 'envoy', 40)])).toEqual([
      { scenario: 'real', peer: 'envoy', values: { errors: 1, cpuPerRequestMicros: 40 } },
    ])
  })

  test('a round that failed leaves its note and does not drag the numbers to zero', () => {
    const failed: Row = { round: 1, scenario: 'real', peer: 'envoy', values: {}, note: 'did not start' }
    expect(summarise([failed, row(2, 'envoy', 40)])).toEqual([
      { scenario: 'real', peer: 'envoy', values: { errors: 0, cpuPerRequestMicros: 40 }, note: 'did not start' },
    ])
  })

  test('ratios are formed inside a round, so a machine that slows down between rounds does not show', () => {
    const rows = [
      row(1, 'millrace', 10),
      row(1, 'envoy', 20),
      row(2, 'millrace', 100),
      row(2, 'envoy', 200),
      row(3, 'millrace', 9),
      row(3, 'envoy', 30),
    ]
    expect(ratiosOf('millrace', rows, compareByCpu)).toEqual([
      { scenario: 'real', peer: 'envoy', metric: 'cpuPerRequestMicros', ratio: 0.5 },
    ])
  })

  test('a side without a number, or with one too small to be told from zero, gives no ratio', () => {
    const rows = [row(1, 'millrace', 10), row(1, 'direct', undefined), row(1, 'nginx', 0)]
    expect(ratiosOf('millrace', rows, compareByCpu)).toEqual([])
  })
})

describe('report', () => {
  test.each<[number | undefined, string]>([
    [undefined, '–'],
    [0, '0'],
    [0.26661, '0.267'],
    [18.449, '18.4'],
    [1_036_801.4, '1,036,801'],
  ])('%s is shown as %s', (value, shown) => {
    expect(showNumber(value)).toBe(shown)
  })

  test('a table lines up in a terminal', () => {
    expect(table(['', 'µs'], [['envoy', '3']])).toBe('|       | µs  |\n|-------|-----|\n| envoy | 3   |')
  })

  const real = SCENARIOS.filter((one) => one.name === 'real')

  test('a peer without a ratio in any scenario has no column', () => {
    const ratios = [{ scenario: 'real', peer: 'envoy', metric: 'cpuPerRequestMicros', ratio: 0.456 }] as const
    const shown = ratioTable(real, ['direct', 'envoy'], ratios)
    expect(shown).toContain('| / envoy |')
    expect(shown).toContain('| 0.46 ')
    expect(shown).not.toContain('direct')
  })

  test('a scenario shows what peers are compared by first, and no column that nobody has', () => {
    const [scenario] = real
    const shown = scenario && scenarioTable(scenario, summarise([row(1, 'envoy', 40)]))
    expect(shown?.split('\n')[0]).toBe('|       | CPU µs/request | errors |')
  })

  test('the published page names every scenario, the peer that was left out and why, and every note', () => {
    const page = docsPage(
      {
        at: '2026-01-02T03:04:05.000Z',
        commit: 'abc1234',
        machine: { cpu: 'a processor', cores: 2, memoryGib: 8, system: 'Linux 6', node: '24.0.0', loadGenerator: 'grpc v1' },
        seconds: 4,
        rounds: 3,
        peers: [
          { name: 'millrace', about: 'ours', version: '0.1.0' },
          { name: 'nginx', about: 'theirs', absent: 'not on PATH' },
        ],
        rows: [row(1, 'millrace', 10), { round: 1, scenario: 'real', peer: 'envoy', values: {}, note: 'first error: broken' }],
        ratios: [],
      },
      undefined,
      SCENARIOS,
    )
    for (const { name } of SCENARIOS) expect(page).toContain(`### ${name}\n`)
    expect(page).toContain('**nginx** (not measured: not on PATH)')
    expect(page).toContain('- real, envoy: first error: broken')
    expect(page).toContain('on 2026-01-02, commit abc1234')
  })
})

describe('settings', () => {
  const read = (...argv: string[]) => readBenchSettings(argv, ['millrace', 'envoy', 'nginx'], ['unary', 'real'])

  test('without flags all peers and scenarios run, three rounds of three seconds, and the page is written', () => {
    expect(read()).toMatchObject({
      which: ['millrace', 'envoy', 'nginx'],
      scenarios: ['unary', 'real'],
      what: 'compare',
      seconds: 3,
      rounds: 3,
      docsLeft: undefined,
    })
  })

  test.each([
    [['--which', 'envoy,millrace'], 'all peers'],
    [['--scenarios', 'real'], 'all scenarios'],
    [['--seconds', '2'], '--seconds 3'],
    [['--no-docs'], '--no-docs'],
  ])('%j leaves the published page as it is', (argv, why) => {
    expect(read(...argv).docsLeft).toContain(why)
  })

  test.each([
    [['--which', 'envoi'], '--which envoi: wants some of millrace,envoy,nginx'],
    [['--scenarios', ''], 'wants some of unary,real'],
    [['--seconds', 'long'], '--seconds long'],
    [['--rounds', '0'], '--rounds 0'],
    [['--fast'], '--help shows what there is'],
  ])('%j is refused with what would be right', (argv, complaint) => {
    expect(() => read(...argv)).toThrow(complaint)
  })
})

test('the retries of a proxy are the sum over its labels, and unknown when its page tells none', () => {
  expect(retriesIn('# HELP millrace_retries_total x\nmillrace_retries_total{worker="0"} 2\nmillrace_retries_total{worker="1"} 3\n')).toBe(5)
  expect(retriesIn('millrace_retries_total 7\n')).toBe(7)
  expect(retriesIn('millrace_requests_total 9\n')).toBeUndefined()
})
