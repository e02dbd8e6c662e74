import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { namesOn, parsePage } from './prometheus-text.ts'

const read = (page: string) =>
  [...parsePage(page, new Set(['a', ':b:c', 'a_sum', 'a_bucket'])).samples.values()]
    .flat()
    .map(({ name, labels, value }) => [name, { ...labels }, value])

test.each<[string, string, [string, Record<string, string>, number][]]>([
  ['a plain sample', 'a 1', [['a', {}, 1]]],
  ['labels', 'a{model="m",version="1"} 2.5', [['a', { model: 'm', version: '1' }, 2.5]]],
  ['a trailing comma', 'a{model="m",} 1.0', [['a', { model: 'm' }, 1]]],
  ['a space before a label', 'a{model="m", le="+Inf"} 5', [['a', { model: 'm', le: '+Inf' }, 5]]],
  ['empty labels', 'a{} 3', [['a', {}, 3]]],
  ['an empty value and one with colons', 'a{x="",y="p::q"} 3', [['a', { x: '', y: 'p::q' }, 3]]],
  ['escapes', String.raw`a{x="q\"\\\n}",y="2"} 4`, [['a', { x: 'q"\\\n}', y: '2' }, 4]]],
  ['a name that begins with a colon', ':b:c{m="x"} 1', [[':b:c', { m: 'x' }, 1]]],
  ['an exponent of three digits', 'a 1.2e+010', [['a', {}, 1.2e10]]],
  ['a time stamp', 'a 7 1395066363000', [['a', {}, 7]]],
  ['an exemplar', 'a{le="1"} 7 # {trace="x"} 0.5', [['a', { le: '1' }, 7]]],
  [
    'the sum before the buckets, and blank lines',
    'a_sum 3\n\n\na_bucket{le="1"} 2\n',
    [
      ['a_sum', {}, 3],
      ['a_bucket', { le: '1' }, 2],
    ],
  ],
  [
    'carriage returns',
    'a 1\r\na 2\r\n',
    [
      ['a', {}, 1],
      ['a', {}, 2],
    ],
  ],
  ['comments, and families of which nobody asks', '# HELP a b\n# TYPE a gauge\nother 1\na_created 1', []],
  ['a counter of OpenMetrics', '# TYPE a counter\na_total{x="1"} 3.0 1.5e9 # {id="q}"} 1 2', [['a_total', { x: '1' }, 3]]],
  ['nothing behind the end of OpenMetrics', 'a 1\n# EOF\na 2', [['a', {}, 1]]],
  ['a label in quotes', 'a{"x.y"="z"} 1', [['a', { 'x.y': 'z' }, 1]]],
  ['braces and commas within a label', 'a{x="},{"} 1', [['a', { x: '},{' }, 1]]],
  ['a tab between', 'a\t1\t5', [['a', {}, 1]]],
])('%s', (_, page, expected) => {
  expect(read(page)).toEqual(expected)
})

test('infinities and not-a-number are read as such', () => {
  expect(read('a +Inf\na -Inf\na NaN').map(([, , value]) => value)).toEqual([
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ])
})

test.each(['a', 'a{', 'a{x=1} 2', 'a{x="1} 2', 'a{x="1"y="2"} 3', 'a{x="1"}', 'a one', 'a 1x', 'a 0x10', 'a{x="1",,} 1', '{} 1', 'a 1,5'])(
  'a line that is no sample is skipped and the next one read: %s',
  (line) => {
    expect(read(`${line}\na 9`)).toEqual([['a', {}, 9]])
  },
)

test('a name is known as soon as the page announces it', () => {
  const among = new Set(['a', 'b', 'c', 'd'])
  expect(namesOn('# TYPE a gauge\n# HELP b what it is\nc_total{x="1"} 1\n# d\n#TYPE d gauge\ndd 1', among)).toEqual(
    new Set(['a', 'b', 'c']),
  )
})

test('what is kept of a page has a bound, and what is beyond is counted', () => {
  const { samples, left } = parsePage('a 1\n'.repeat(limits.metricSamplesMax + 3), new Set(['a']))
  expect([samples.get('a')?.length, left]).toEqual([limits.metricSamplesMax, 3])
})

test('a line beyond measure is skipped, whatever is in it', () => {
  const long = `a{x="${'\\"'.repeat(1_000_000)}"} 1\na 2`
  expect(read(long)).toEqual([['a', {}, 2]])
})
