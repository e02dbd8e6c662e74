import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { mergeServers } from './merge-servers.ts'
import { type ServerRow, specOf } from './server-spec.ts'

const told = (from: string, ...rows: ServerRow[]) => ({ from, specs: rows.map((row) => specOf(row)) })
const at = (port: number, name: string): ServerRow => ({ kind: 'vllm', name, http: `127.0.0.1:${port}` })

test('an earlier source goes before a later one, and what is left out is said', () => {
  const merged = mergeServers([
    told('the settings', at(1, 'a')),
    told('x.yaml', at(2, 'a'), at(3, 'b')),
    told('--discover', at(3, 'c'), at(4, 'd')),
  ])
  expect(merged.specs.map(({ name, http }) => `${name} ${http}`)).toEqual(['a 127.0.0.1:1', 'b 127.0.0.1:3', 'd 127.0.0.1:4'])
  expect(merged.refused).toEqual([
    'x.yaml: a is left out: two servers are named a',
    '--discover: c is left out: c and b would both be at 127.0.0.1:3; say which is where',
  ])
})

test('a host has a bounded number of servers', () => {
  const many = Array.from({ length: limits.endpointsPerNodeMax + 1 }, (_, index) => at(index + 1, `s${index}`))
  const merged = mergeServers([told('x.yaml', ...many)])
  expect(merged.specs).toHaveLength(limits.endpointsPerNodeMax)
  expect(merged.refused).toHaveLength(1)
})
